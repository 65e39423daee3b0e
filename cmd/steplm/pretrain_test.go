package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data"
	"steplm/data/corpus"
	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/model"
	"steplm/stage"
	"steplm/stage/recipe"
)

// material is what small runs read: the embedded corpus, a tokenizer of 300 ids
// trained on it, four held-out documents and two pages of WikiText.
type material struct{ train, validation, wikitext, tokenizer string }

const wikiPages = " \n = One = \n \n The cat sat on the mat . \n It was warm there . \n \n = Two = \n \n The dog sat " +
	"on the log , too . \n"

func newMaterial(t *testing.T) material {
	t.Helper()
	dir := t.TempDir()
	if err := corpus.Extract(dir); err != nil {
		t.Fatal(err)
	}
	m := material{
		train: filepath.Join(dir, corpus.Train), validation: filepath.Join(dir, "held-out.parquet"),
		wikitext: writeFile(t, "wiki.raw", wikiPages), tokenizer: filepath.Join(dir, "tokenizer.json"),
	}
	succeed(t, "", "tokenizer", "train", "--data", m.train, "--vocab", "300", "--out", m.tokenizer)
	held, err := data.Open(filepath.Join(dir, corpus.Validation))
	if err != nil {
		t.Fatal(err)
	}
	var rows []datatest.Row
	for d, err := range held.Documents(data.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if rows = append(rows, datatest.Row{Text: d.Text}); len(rows) == 4 {
			break
		}
	}
	if err := datatest.WriteShard(m.validation, rows, datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	return m
}

// pretrain is a command line for a very small model that grows from 2 to 4
// layers after 3 of 8 steps. Flags given take the place of its own; a method
// too, which then has no stages unless they are given.
func (m material) pretrain(out string, flags ...string) []string {
	args := []string{"pretrain"}
	given := func(flag string) bool {
		return slices.ContainsFunc(flags, func(f string) bool { return f == flag || strings.HasPrefix(f, flag+"=") })
	}
	for _, f := range [][2]string{
		{"--stages", "2"}, {"--method", "step"}, {"--rank", "2"},
		{"--hidden", "16"}, {"--ffn", "24"}, {"--layers", "4"}, {"--heads", "2"}, {"--kv-heads", "1"}, {"--max-seq-len",
			"64"},
		{"--data", m.train}, {"--tokenizer", m.tokenizer}, {"--out", out},
		{"--steps", "8"}, {"--batch-size", "2"}, {"--seq-len", "16"}, {"--lr", "1e-2"},
	} {
		if !given(f[0]) && !(f[0] == "--stages" && given("--method")) {
			args = append(args, f[0], f[1])
		}
	}
	return append(args, flags...)
}

// evaluated has the run measure both sets too.
func (m material) evaluated(more ...string) []string {
	return append([]string{"--validation", m.validation, "--wikitext", m.wikitext, "--eval-tokens", "64"}, more...)
}

func newRun(t *testing.T) string { return filepath.Join(t.TempDir(), "run") }

// A whole run by STEP as another program sees it: what it prints, what it
// leaves, and that what it leaves is the model it measured.
func TestPretrain(t *testing.T) {
	m := newMaterial(t)
	for _, device := range devices(t) {
		t.Run(device, func(t *testing.T) {
			run := newRun(t)
			out := succeed(t, "", m.pretrain(run, m.evaluated("--eval-every", "2", "--save-every", "2", "--keep", "2",
				"--device", device, "--json")...)...)
			if out != clitest.Contents(t, run, "metrics.jsonl") {
				t.Errorf("--json does not print the lines of metrics.jsonl but\n%s", out)
			}
			lines := readMetrics(t, run)
			checkSchema(t, lines)
			checkStory(t, lines)
			checkSteps(t, run, lines)
			checkFolder(t, run, m)
			checkFinal(t, run, m, device, lines)
		})
	}
}

// checkStory: T = round(8/1.75) = 5, growth after floor(0.75*5) = 3 steps.
func checkStory(t *testing.T, lines []metricsLine) {
	t.Helper()
	evals := func(when string) []string { return []string{"eval validation " + when, "eval wikitext " + when} }
	want := slices.Concat(
		[]string{"step 1", "step 2", "checkpoint step-2"}, evals("every"),
		[]string{"step 3", "checkpoint step-3"}, evals("before growth"), []string{"growth"}, evals("after growth"),
		[]string{"step 4", "checkpoint step-4"}, evals("every"),
		[]string{"step 5", "step 6", "checkpoint step-6"}, evals("every"),
		[]string{"step 7", "step 8", "checkpoint step-8"}, evals("end"), []string{"end final"},
	)
	if diff := cmp.Diff(want, story(lines)); diff != "" {
		t.Errorf("the run's story (-want +got):\n%s", diff)
	}
}

// recipeOf is a run's recipe, and its model in every stage.
func recipeOf(t *testing.T, run string) (recipe.Recipe, []model.Layout) {
	t.Helper()
	recipe, err := stage.ReadRecipe(run)
	if err != nil {
		t.Fatal(err)
	}
	layouts, err := recipe.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	return recipe, layouts
}

func checkSteps(t *testing.T, run string, lines []metricsLine) {
	t.Helper()
	recipe, layouts := recipeOf(t, run)
	n, largest := 0, 0.0
	for _, l := range lines {
		if l.text("event") == "growth" {
			trainable, frozen := layouts[1].Count()
			want := fmt.Sprintf("2 to 4, new [1 2], %d trainable, %d frozen", trainable, frozen)
			if got := fmt.Sprintf("%s to %s, new %s, %s trainable, %s frozen", l["from_layers"], l["to_layers"],
				strings.ReplaceAll(string(l["new_blocks"]), ",",
					" "), l["trainable_parameters"], l["frozen_parameters"]); got != want {
				t.Errorf("growth %s, want %s", got, want)
			}
		}
		if !l.step() {
			continue
		}
		n++
		stage := 1
		if n > 3 {
			stage = 2
		}
		if l.number(t, "stage") != float64(stage) || l.number(t, "tokens") != float64(n*2*16) ||
			l.number(t, "tokens_per_second") <= 0 {
			t.Errorf("step %d: %s", n, l)
		}
		// An untrained model knows nothing: ln(300). Eight steps change little.
		if loss := l.number(t, "loss"); math.Abs(loss-math.Log(300)) > 0.5 {
			t.Errorf("step %d: loss %g", n, loss)
		}
		if l.number(t, "grad_norm") <= 0 || l.number(t, "lr") <= 0 || l.number(t, "lr") > 1e-2 {
			t.Errorf("step %d: %s", n, l)
		}
		var bytes map[string]int64
		if err := json.Unmarshal(l["bytes"], &bytes); err != nil {
			t.Fatal(err)
		}
		plan := gpu.Plan(nil, recipe.Specs(layouts[stage-1])).ByClass()
		for class, planned := range plan { // a device keeps some scratch for itself
			if bytes[class] != planned && class != "scratch" || bytes[class] < planned {
				t.Errorf("step %d: %d bytes of %s, planned %d", n, bytes[class], class, planned)
			}
		}
		if l.number(t, "peak_bytes") < float64(total(bytes)) {
			t.Errorf("step %d: peak %s below what is there, %v", n, l["peak_bytes"], bytes)
		}
		largest = max(largest, l.number(t, "peak_bytes"))
	}
	if n != 8 || recipe.Steps() != 8 || recipe.Method != "step" || recipe.LoRA.Rank != 2 {
		t.Errorf("%d steps by the recipe %+v", n, recipe)
	}
}

func checkFolder(t *testing.T, run string, m material) {
	t.Helper()
	for dir, want := range map[string][]string{
		"":            {".lock", "checkpoints", "final", "metrics.jsonl", "recipe.json", "spec.json"},
		"checkpoints": {"LATEST", "step-6", "step-8"},
		"checkpoints/step-8": {"checksums.json", "layout.json", "model.safetensors", "optimizer.safetensors",
			"state.json"},
		"final": {"checksums.json", "config.json", "model.safetensors", "tokenizer.json"},
	} {
		got := slices.DeleteFunc(clitest.Entries(t, filepath.Join(run, dir)),
			func(name string) bool { return name == "generation_config.json" })
		if !slices.Equal(got, want) {
			t.Errorf("%q holds %q, want %q", dir, got, want)
		}
	}
	if latest := strings.TrimSpace(clitest.Contents(t, run, "checkpoints", "LATEST")); latest != "step-8" {
		t.Errorf("LATEST is %q", latest)
	}
	ids := func(tokenizer string) string {
		return succeed(t, `"The cat sat."`, "tokenizer", "encode", "--tokenizer", tokenizer)
	}
	if got, want := ids(filepath.Join(run, "final")), ids(m.tokenizer); got != want {
		t.Errorf("the final tokenizer says %s, the run's %s", got, want)
	}
}

// checkFinal measures the exported model by the other commands.
func checkFinal(t *testing.T, run string, m material, device string, lines []metricsLine) {
	t.Helper()
	last := map[string]float64{}
	for _, l := range lines {
		if l.text("event") == "eval" && l.text("when") == "end" {
			var r struct{ Perplexity float64 }
			if err := json.Unmarshal(l["result"], &r); err != nil {
				t.Fatal(err)
			}
			last[l.text("set")] = r.Perplexity
		}
	}
	for _, model := range []string{run, filepath.Join(run, "final")} {
		p := perplexity(t, "--model", model, "--data", m.validation, "--wikitext", m.wikitext, "--context", "16",
			"--device", device)
		for i, set := range []string{"validation", "wikitext"} {
			if got := p.Results[i].Perplexity; math.Abs(got/last[set]-1) > 1e-3 { // the run's activations are bf16
				t.Errorf("%s: eval ppl says %.6f for %s, the run's end %.6f", model, got, set, last[set])
			}
		}
	}

	// The first window of 16, token by token.
	text := `"` + strings.ReplaceAll(wikiPages, "\n", `\n`) + `"`
	var ids []uint32
	if err := json.Unmarshal([]byte(succeed(t, text, "tokenizer", "encode", "--tokenizer", m.tokenizer)),
		&ids); err != nil {
		t.Fatal(err)
	}
	sum := score(t, "--model", run, "--ids", commas(ids[:17]), "--device", device).nll()
	p := perplexity(t, "--model", run, "--text", m.wikitext, "--max-tokens", "16", "--device", device)
	if got, want := p.Results[0].Perplexity, math.Exp(sum/16); p.Results[0].Tokens != 16 ||
		math.Abs(got/want-1) > 1e-4 {
		t.Errorf("perplexity of 16 tokens %+v, their scores make %.6f", p.Results[0], want)
	}
}

// Without a terminal there are lines, not a bar; they begin with every choice
// that the paper leaves open.
func TestPretrainPrintsPlainLines(t *testing.T) {
	m, run := newMaterial(t), newRun(t)
	stdout, stderr, code := call(t, "", m.pretrain(run, m.evaluated("--device", "host")...)...)
	if code != 0 {
		t.Fatal(stderr)
	}
	if strings.ContainsAny(stdout+stderr, "\r\x1b") {
		t.Errorf("a bar without a terminal: %q %q", stdout, stderr)
	}
	for _, want := range []string{
		"4 layers, hidden 16, FFN 24, 2 heads (1 key-value), vocabulary 300",
		"step, 8 steps of 32 tokens (2 x 16, 1 micro-batches), seed 1",
		"memory     bf16, states split, gradients bf16: 14 bytes per trainable parameter, 2 per frozen one",
		"device     host (plain Go)",
		"grow (mean, upper), merge, freeze, wrap (LoRA rank 2, alpha 2 on wq wk wv wo gate up down",
		"embedding true, head true, norms of old layers true",
		"AdamW, betas 0.9 and 0.95, epsilon 1e-08, gradient norm clipped to 1; attention crosses documents",
		"step 3: saved step-3",
		"step 3: grew from 2 to 4 layers (new: 2, 3)",
		"are frozen",
		"step 3: validation perplexity",
		"per token (before growth, 64 tokens",
		"step 8: wikitext perplexity",
		"per word (end,",
		"step 8: the end; the model is in " + filepath.Join(run, "final"),
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
}

// --tokens is rounded up to whole steps.
func TestPretrainTokens(t *testing.T) {
	m, run := newMaterial(t), newRun(t)
	args := m.pretrain(run, "--method", "vanilla", "--device", "host")
	i := slices.Index(args, "--steps")
	args = slices.Delete(args, i, i+2)
	succeed(t, "", append(args, "--tokens", "97")...)
	lines := readMetrics(t, run)
	if got := story(lines); !slices.Equal(got, []string{"step 1", "step 2", "step 3", "step 4", "checkpoint step-4",
		"end final"}) {
		t.Errorf("97 tokens in steps of 32: %q", got)
	}
}

// stopAt runs a call until it prints a line that satisfies at, sends it a
// signal, and returns how it ended.
func stopAt(t *testing.T, c *exec.Cmd, signal os.Signal, at func(line string) bool) (stdout, stderr string, code int) {
	t.Helper()
	c.WaitDelay = 10 * time.Second
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint strings.Builder
	c.Stderr = &complaint
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	reached := false
	for s := bufio.NewScanner(out); s.Scan(); {
		stdout += s.Text() + "\n"
		if !reached && at(s.Text()) {
			reached = true
			if err := c.Process.Signal(signal); err != nil {
				c.Process.Kill()
				t.Skip("this system cannot interrupt a process: ", err)
			}
		}
	}
	c.Wait()
	if !reached {
		t.Fatalf("%v ended before it was stopped: %s%s", c.Args[1:], stdout, &complaint)
	}
	return stdout, complaint.String(), c.ProcessState.ExitCode()
}

// Ctrl-C in the first stage, a kill while growing, Ctrl-C in the second stage.
// What comes out is what a run gives that was left alone, to the last bit.
func TestInterruptAndResume(t *testing.T) {
	m := newMaterial(t)
	for _, device := range devices(t) {
		t.Run(device, func(t *testing.T) {
			// Growth after 9 of 21 steps, each so large that the signal arrives in time.
			run := newRun(t)
			flags := func(out string) []string {
				return m.pretrain(out, m.evaluated("--steps", "21", "--batch-size", "4", "--seq-len", "64",
					"--grad-accum", "2", "--save-every", "4", "--device", device)...)
			}
			stop := func(args []string, signal os.Signal, key, value string) (stderr string, code int) {
				t.Helper()
				_, stderr, code = stopAt(t, callOf(t.Context(), append(args, "--json")...), signal,
					func(line string) bool {
						l := parseMetrics(t, []byte(line))[0]
						return l.text(key) == value && (key == "event" || l.step())
					})
				return stderr, code
			}
			interrupted := func(args []string, step string) {
				t.Helper()
				stderr, code := stop(args, os.Interrupt, "step", step)
				checkFailure(t, "pretrain, interrupted", stderr, code, 1, "saved", "--resume")
				var last metricsLine
				for _, l := range readMetrics(t, run) {
					if l.step() {
						last = l
					}
				}
				if latest := strings.TrimSpace(clitest.Contents(t, run, "checkpoints",
					"LATEST")); latest != "step-"+last.text("step") {
					t.Errorf("the last step is %s, LATEST is %s", last.text("step"), latest)
				}
			}
			interrupted(flags(run), "2")
			resume := []string{"pretrain", "--resume", run, "--device", device}
			if stderr, code := stop(resume, os.Kill, "event", "growth"); code == 0 || stderr != "" {
				t.Errorf("killed while growing: exit code %d, %q", code, stderr)
			}
			interrupted(resume, "12")
			succeed(t, "", resume...)

			straight := newRun(t)
			succeed(t, "", flags(straight)...)
			got, want := readMetrics(t, run), readMetrics(t, straight)
			if diff := cmp.Diff(losses(want), losses(got)); diff != "" {
				t.Errorf("losses (-straight +resumed):\n%s", diff)
			}
			checkSchema(t, got)
			if !slices.ContainsFunc(got, func(l metricsLine) bool { return l.text("event") == "resume" }) {
				t.Error("nothing says that the run was resumed")
			}
			for _, file := range []string{"model.safetensors", "config.json"} {
				if clitest.Contents(t, run, "final", file) != clitest.Contents(t, straight, "final", file) {
					t.Errorf("the final %s is another", file)
				}
			}
		})
	}
}
