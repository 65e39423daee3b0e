// Command same-bits runs small trainings with the program of another revision and with
// that of the working tree, and compares them bit for bit:
//
//	go run ./.ci/same-bits REVISION
//
// Compared are every step's loss, gradient norm and learning rate, as metrics.jsonl has
// them, the tensors of the trained model, and those of all checkpoints' that both programs
// have under one name. Times are not. It exits with 1 where a run differs.
//
// The data are the corpus that `steplm demo` extracts. The host device takes fewer of the
// runs than lavapipe (see run.host): what is above the device is the same there, and
// the kernels' reference is compared with them elsewhere.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"steplm/model/checkpoint"
)

// run is one training that both programs do.
type run struct {
	name  string
	flags string // of pretrain, besides shared
	host  bool   // on the host device too
	kill  int    // the step after which the run is killed, to be resumed; 0: never
	cross bool   // the working tree's program resumes what the revision's began
}

// shared are the flags of all runs, as the working tree spells them: twenty steps of a
// model in which no two dimensions are alike.
const shared = "--hidden 24 --ffn 80 --layers 6 --heads 6 --kv-heads 2 --max-seq-len 40 --seq-len 40" +
	" --batch-size 2 --steps 20 --lr 5e-3 --save-every 6 --keep 0 --eval-tokens 0 --no-tune --json"

var runs = []run{
	{name: "vanilla", flags: "--method vanilla", host: true},
	{name: "vanilla f32", flags: "--method vanilla --precision f32"},
	{name: "step 2", flags: "--stages 2", host: true},
	{name: "step 3", flags: "--stages 3"},
	{name: "step f32", flags: "--stages 2 --precision f32 --adapter-lr 2 --adapter-weight-decay 3"},
	{name: "paper", flags: "--stages 2 --states paper"},
	{name: "flash8", flags: "--stages 2 --states flash8", host: true},
	{name: "release", flags: "--stages 2 --release --tied", host: true},
	{name: "int8", flags: "--stages 3 --frozen int8"},
	{name: "recompute", flags: "--stages 2 --recompute block"},
	{name: "accumulation", flags: "--stages 2 --grad-accum 2"},
	{name: "kept adapters", flags: "--stages 3 --adapters keep --no-train-embedding --no-train-head --no-train-norms"},
	{name: "other growth", flags: "--stages 2 --split 2,4 --operator copy --position random" +
		" --schedule constant --warmup 3 --rewarm 2"},
	{name: "resumed", flags: "--stages 2", kill: 7, host: true},
	{name: "resumed flash8", flags: "--stages 2 --states flash8 --adapters keep", kill: 13},
	{name: "taken over", flags: "--stages 2", kill: 7, cross: true},
	{name: "taken over, grown", flags: "--stages 3 --states paper --frozen int8", kill: 13, cross: true},
}

// renamed are flags that were spelled otherwise once: a program whose help does not
// know `now` is given `was`. Both may have values: {"--adapters keep", "--keep-adapters"}.
// Who renames a flag renames it above and adds a line here.
var renamed = []struct{ now, was string }{}

// program is steplm at one revision.
type program struct {
	title, path string
	help        string // of pretrain
}

// arguments are a run's, as the program spells them.
func (p program) arguments(flags string) []string {
	for _, r := range renamed {
		if !strings.Contains(p.help, strings.Fields(r.now)[0]) {
			flags = strings.ReplaceAll(flags+" ", r.now+" ", r.was+" ")
		}
	}
	return append([]string{"pretrain"}, strings.Fields(flags)...)
}

func main() {
	same, err := compareAll(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "same-bits: %v\n", err)
		os.Exit(2)
	}
	if !same {
		os.Exit(1)
	}
}

func compareAll(args []string) (same bool, err error) {
	if len(args) != 1 {
		return false, errors.New("give the revision to compare with, such as HEAD~1 or main")
	}
	dir, err := os.MkdirTemp("", "same-bits-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	old, err := buildRevision(dir, args[0])
	if err != nil {
		return false, err
	}
	here, err := build(".", filepath.Join(dir, "here"), "the working tree")
	if err != nil {
		return false, err
	}
	begun := time.Now()
	corpus := exec.Command(here.path, "demo", "--steps", "4", "--dir", filepath.Join(dir, "demo"))
	if out, err := corpus.CombinedOutput(); err != nil {
		return false, fmt.Errorf("extract the corpus: %w\n%s", err, out)
	}
	data := filepath.Join(dir, "demo", "demo-data")
	same = true
	fmt.Printf("%-9s %-18s %-10s %6s %8s  %s\n", "device", "run", "", "steps", "tensors", "trained model")
	for _, device := range []string{"llvmpipe", "host"} {
		for i, r := range runs {
			if device == "host" && !r.host {
				continue
			}
			flags := strings.Join([]string{shared, r.flags, "--device", device, "--data", filepath.Join(data, "train*"),
				"--tokenizer", filepath.Join(data, "tokenizer.json"), "--tune-cache", filepath.Join(dir, "tune")}, " ")
			out := filepath.Join(dir, fmt.Sprintf("%s-%d-", device, i))
			second := here
			if r.cross {
				second = old
			}
			var count counts
			err := train(old, old, r.kill, flags, out+"old")
			if err == nil {
				err = train(second, here, r.kill, flags, out+"here")
			}
			if err == nil {
				count, err = compare(out+"old", out+"here")
			}
			verdict := "equal"
			if err != nil {
				verdict, same = "DIFFERENT", false
			}
			fmt.Printf("%-9s %-18s %-10s %6d %8d  %.16s\n",
				device, r.name, verdict, count.steps, count.tensors, count.model)
			if err != nil {
				fmt.Printf("    %s\n", strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n    "))
			}
		}
	}
	fmt.Printf("%s against %s, %s\n", old.title, here.title, time.Since(begun).Round(time.Second))
	return same, nil
}

// buildRevision builds a revision in a worktree of its own.
func buildRevision(dir, revision string) (program, error) {
	name, err := exec.Command("git", "rev-parse", "--short", "--verify", revision+"^{commit}").Output()
	if err != nil {
		return program{}, fmt.Errorf("%q is no revision of this repository", revision)
	}
	tree := filepath.Join(dir, "tree")
	if out, err := exec.Command("git", "worktree", "add", "--detach", tree, revision).CombinedOutput(); err != nil {
		return program{}, fmt.Errorf("git worktree: %w\n%s", err, out)
	}
	p, err := build(tree, filepath.Join(dir, "old"), strings.TrimSpace(string(name)))
	if out, e := exec.Command("git", "worktree", "remove", "--force", tree).CombinedOutput(); e != nil {
		err = errors.Join(err, fmt.Errorf("git worktree remove: %w\n%s", e, out))
	}
	return p, err
}

// build builds the program of a tree.
func build(tree, path, title string) (program, error) {
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path, "./cmd/steplm")
	c.Dir = tree
	if out, err := c.CombinedOutput(); err != nil {
		return program{}, fmt.Errorf("build %s: %w\n%s", title, err, out)
	}
	help, err := exec.Command(path, "pretrain", "--help").Output()
	return program{title: title, path: path, help: string(help)}, err
}

// train does a run in a folder with one program, or kills it and has another resume it.
func train(first, then program, kill int, flags, out string) error {
	flags += " --out " + out
	if kill == 0 {
		return execute(then, then.arguments(flags), 0)
	}
	if err := execute(first, first.arguments(flags), kill); err != nil {
		return err
	}
	resume := " --resume"
	if strings.Contains(then.help, "--resume=DIR") { // Once it was a switch beside --out.
		resume += " " + out
	}
	return execute(then, then.arguments(flags+resume), 0)
}

// execute runs a program to its end, or kills it when it has reported a step.
func execute(p program, args []string, kill int) error {
	c := exec.Command(p.path, args...)
	var complaint bytes.Buffer
	c.Stderr = &complaint
	lines, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	killed := false
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		var m struct{ Step int }
		if kill > 0 && json.Unmarshal(scanner.Bytes(), &m) == nil && m.Step >= kill && !killed {
			killed = true
			if err := c.Process.Kill(); err != nil {
				return err
			}
		}
	}
	err = c.Wait()
	switch {
	case kill > 0 && killed:
		return nil
	case kill > 0:
		return fmt.Errorf("%s ended before step %d, where it was to be killed: %v\n%s",
			p.title, kill, err, complaint.Bytes())
	case err != nil:
		return fmt.Errorf("%s: %w\n%s", p.title, err, complaint.Bytes())
	}
	return nil
}

// counts are how much was compared, and the hash of the model that was trained here.
type counts struct {
	steps, tensors int
	model          string
}

// compare reports the first difference between two runs' folders.
func compare(old, here string) (n counts, err error) {
	before, err := readSteps(old)
	if err != nil {
		return n, err
	}
	now, err := readSteps(here)
	if err != nil {
		return n, err
	}
	if len(before) != 20 || len(now) != 20 {
		return n, fmt.Errorf("%d steps there, %d here, both should have 20", len(before), len(now))
	}
	for i, a := range before {
		if b := now[i]; a != b {
			return n, fmt.Errorf("step %d is %+v there, %+v here", i+1, a, b)
		}
	}
	n.steps = len(before)
	files, err := filepath.Glob(filepath.Join(old, "*", "*", "*.safetensors"))
	if err != nil {
		return n, err
	}
	finals, err := filepath.Glob(filepath.Join(old, "final", "*.safetensors"))
	if err != nil || len(finals) == 0 {
		return n, errors.Join(err, fmt.Errorf("%s holds no trained model", old))
	}
	for _, file := range append(files, finals...) {
		name, err := filepath.Rel(old, file)
		if err != nil {
			return n, err
		}
		compared, err := compareTensors(file, filepath.Join(here, name), slices.Contains(finals, file))
		if err != nil {
			return n, fmt.Errorf("%s: %w", name, err)
		}
		n.tensors += compared
	}
	n.model, err = hashAll(filepath.Join(here, "final"))
	return n, err
}

// step is what metrics.jsonl says of one, number by number as it is written.
type step struct {
	Step, Stage, Tokens, Loss, LR json.Number
	Norm                          json.Number `json:"grad_norm"`
}

func readSteps(dir string) ([]step, error) {
	text, err := os.ReadFile(filepath.Join(dir, "metrics.jsonl"))
	if err != nil {
		return nil, err
	}
	var list []step
	for line := range bytes.Lines(text) {
		var s step
		if err := json.Unmarshal(line, &s); err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		if s.Loss != "" { // else it is an event
			list = append(list, s)
		}
	}
	return list, nil
}

// compareTensors compares two files' tensors of one name, and where all is asked, that they have
// the same names.
func compareTensors(old, here string, all bool) (n int, err error) {
	a, err := hashes(old)
	if err != nil {
		return 0, err
	}
	b, err := hashes(here)
	if err != nil {
		return 0, err
	}
	for name, hash := range a {
		other, ok := b[name]
		switch {
		case ok && hash != other:
			return n, fmt.Errorf("%s is %.12s there, %.12s here", name, hash, other)
		case !ok && all:
			return n, fmt.Errorf("there is no %s here", name)
		case ok:
			n++
		}
	}
	if n == 0 || all && len(b) != len(a) {
		return n, fmt.Errorf("%d tensors there, %d here, %d in common", len(a), len(b), n)
	}
	return n, nil
}

// hashes are those of a file's tensors, with type and shape, by name.
func hashes(path string) (map[string]string, error) {
	f, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list := map[string]string{}
	for _, name := range f.Names() {
		i, _ := f.Info(name)
		raw := make([]byte, i.Bytes())
		if err := f.ReadRaw(name, 0, raw); err != nil {
			return nil, err
		}
		list[name] = fmt.Sprintf("%x of %s %v", sha256.Sum256(raw), i.DType, i.Shape)
	}
	return list, nil
}

// hashAll is the hash of all tensors in a folder.
func hashAll(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil {
		return "", err
	}
	all := sha256.New()
	for _, file := range files {
		list, err := hashes(file)
		if err != nil {
			return "", err
		}
		for _, name := range slices.Sorted(maps.Keys(list)) {
			fmt.Fprintln(all, name, list[name])
		}
	}
	return fmt.Sprintf("%x", all.Sum(nil)), nil
}
