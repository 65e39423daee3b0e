package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The STEP run that is compared: the tiny preset on the embedded corpus, grown once. These flags and
// the kit's data make the reference on lavapipe and the run on the device.
const (
	runSteps     = 64
	runSaveEvery = 10
	runKillAfter = 45 // a step of the second stage, beyond the last save before it
)

// runFlags is the run in a precision, in a folder.
func runFlags(data, precision, out string) []string {
	return []string{"pretrain", "--model", "tiny", "--precision", precision, "--data", filepath.Join(data, "train*"),
		"--tokenizer", filepath.Join(data, "tokenizer.json"),
		"--out", out, "--steps", fmt.Sprint(runSteps), "--seq-len", "128", "--batch-size", "8", "--lr", "5e-3",
		"--save-every", fmt.Sprint(runSaveEvery), "--eval-tokens", "0", "--no-tune"}
}

// metric is a line of metrics.jsonl: a step, or an event.
type metric struct {
	Step   int     `json:"step"`
	Stage  int     `json:"stage"`
	Loss   float64 `json:"loss"`
	Norm   float64 `json:"grad_norm"`
	Tokens float64 `json:"tokens_per_second"`
	Event  string  `json:"event"`
}

// readSteps lists the steps of a run's metrics, each once: after a resume the later line counts.
func readSteps(path string) ([]metric, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []metric
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m metric
		if json.Unmarshal(lines.Bytes(), &m) != nil || m.Event != "" || m.Step == 0 {
			continue // A torn last line of a run that was killed, or an event.
		}
		list = slices.DeleteFunc(list, func(old metric) bool { return old.Step >= m.Step })
		list = append(list, m)
	}
	return list, lines.Err()
}

// referenceCmd makes the reference of a kit.
type referenceCmd struct {
	Program string `required:"" placeholder:"FILE" help:"steplm."`
	Data    string `required:"" placeholder:"DIR" help:"The kit's data."`
	Device  string `required:"" placeholder:"DEVICE" help:"The device to compute on."`
	Out     string `required:"" placeholder:"DIR" help:"Where PRECISION.jsonl are written."`
}

// Run is the command.
func (c *referenceCmd) Run(ctx context.Context) error {
	work, err := os.MkdirTemp("", "gpu-kit-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return err
	}
	k := &kit{runCmd: &runCmd{}, log: os.Stderr}
	for _, precision := range []string{"f32", "bf16"} {
		out := filepath.Join(work, precision)
		args := append([]string{c.Program}, runFlags(c.Data, precision, out)...)
		if _, err := k.start(ctx, command{args: append(args, "--device", c.Device)}); err != nil {
			return err
		}
		if err := copyFile(filepath.Join(out, "metrics.jsonl"), filepath.Join(c.Out, precision+".jsonl")); err != nil {
			return err
		}
	}
	return nil
}

// stepRun trains by STEP on the device in f32 and bf16 and compares the losses with lavapipe's, step by
// step; then it kills a run, resumes it, and compares it with the one that was not killed.
func stepRun(ctx context.Context, k *kit, r *result) error {
	for _, precision := range []string{"f32", "bf16"} {
		out := filepath.Join(k.work, "step-"+precision)
		_, ran := k.start(ctx, command{args: k.steplm(runFlags(k.path("data"), precision, out)...)})
		// A run that was cut off is compared as far as it came.
		if err := k.compareLosses(r, precision, filepath.Join(out, "metrics.jsonl"), ran != nil); ran != nil ||
			err != nil {
			return cmp.Or(ran, err)
		}
	}
	return k.killAndResume(ctx, r)
}

// difference is relative to what a loss should be; a loss that is no number is off by all of it.
func difference(got, want float64) float64 {
	if got == want {
		return 0
	}
	if d := math.Abs(got-want) / math.Abs(want); d < 1 {
		return d
	}
	return 1
}

// compareLosses compares a run's losses with the reference; a run that is short may have fewer.
func (k *kit) compareLosses(r *result, precision, path string, short bool) error {
	want, err := readSteps(k.path("reference", precision+".jsonl"))
	if err != nil {
		return err
	}
	got, err := readSteps(path)
	if err != nil {
		return err
	}
	if len(got) > len(want) || len(got) < len(want) && !short || len(got) == 0 {
		return fmt.Errorf("the run in %s has %d steps, the reference %d", precision, len(got), len(want))
	}
	want = want[:len(got)]
	var differences []float64
	largest, at, growth, until := 0.0, 0, 0.0, 0.0
	grew := false
	for i := range want {
		d := difference(got[i].Loss, want[i].Loss)
		differences = append(differences, d)
		if d > largest {
			largest, at = d, want[i].Step
		}
		if !grew {
			until = max(until, d)
		}
		if i > 0 && want[i].Stage != want[i-1].Stage {
			growth, grew = d, true
		}
	}
	r.set(precision+"_steps_compared", float64(len(want)))
	r.set(precision+"_largest_difference", largest)
	r.set(precision+"_largest_difference_at_step", float64(at))
	r.set(precision+"_difference_after_growth", growth)
	r.set(precision+"_largest_difference_until_growth", until)
	r.set(precision+"_differences", differences)
	r.set(precision+"_last_loss", got[len(got)-1].Loss)
	r.set(precision+"_last_loss_on_lavapipe", want[len(want)-1].Loss)
	k.say("%-4s losses differ by at most %.2g of lavapipe's (step %d), %.2g at the first step after growth; last "+
		"loss %.5f, there %.5f",
		precision, largest, at, growth, got[len(got)-1].Loss, want[len(want)-1].Loss)
	return nil
}

// killAndResume kills a run in bf16 in its second stage, resumes it, and compares every loss, norm and
// the final weights, bit for bit, with the run before.
func (k *kit) killAndResume(ctx context.Context, r *result) error {
	straight, out := filepath.Join(k.work, "step-bf16"), filepath.Join(k.work, "step-killed")
	flags := runFlags(k.path("data"), "bf16", out)
	bounded, stop := context.WithCancel(ctx)
	defer stop()
	killed := 0
	_, err := k.start(bounded, command{args: k.steplm(flags...), started: func(*os.Process) {
		go func() { // until the run ends
			for ; bounded.Err() == nil; time.Sleep(5 * time.Millisecond) {
				steps, err := readSteps(filepath.Join(out, "metrics.jsonl"))
				if n := len(steps); err == nil && n > 0 && steps[n-1].Step >= runKillAfter {
					killed = steps[n-1].Step
					stop()
				}
			}
		}()
	}})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if killed == 0 {
		return fmt.Errorf("the run that was to be killed ended by itself: %w",
			errors.Join(err, errors.New("it was too quick")))
	}
	r.set("killed_after_step", float64(killed))
	if _, err := k.start(ctx, command{args: k.steplm("pretrain", "--resume", out)}); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	want, err := readSteps(filepath.Join(straight, "metrics.jsonl"))
	if err != nil {
		return err
	}
	got, err := readSteps(filepath.Join(out, "metrics.jsonl"))
	if err != nil {
		return err
	}
	same := len(got) == len(want)
	for i := 0; same && i < len(want); i++ {
		if same = got[i].Loss == want[i].Loss && got[i].Norm == want[i].Norm; !same {
			r.fail("resume: the loss of step %d is %v, and %v in the run that was not killed", want[i].Step,
				got[i].Loss, want[i].Loss)
		}
	}
	weights, err := sameFiles(filepath.Join(straight, "final", "model.safetensors"),
		filepath.Join(out, "final", "model.safetensors"))
	if err != nil {
		return err
	}
	if !weights {
		r.fail("resume: the final weights are others than those of the run that was not killed")
	}
	verdict := "no"
	if same && weights {
		verdict = "yes"
	}
	r.set("resume_bit_for_bit", verdict)
	k.say("killed after step %d and resumed: the same bits: %s", killed, verdict)
	return nil
}

func sameFiles(a, b string) (bool, error) {
	x, err := os.ReadFile(a)
	if err != nil {
		return false, err
	}
	y, err := os.ReadFile(b)
	return slices.Equal(x, y), err
}
