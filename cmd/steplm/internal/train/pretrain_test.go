package train

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/gpu"
	"steplm/model"
	"steplm/stage"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// A whole run by STEP as another program sees it: what it prints, what it
// leaves, and that what it leaves is the model it measured.
func TestPretrain(t *testing.T) {
	m := clitest.NewMaterial(t)
	for _, device := range clitest.Devices(t) {
		t.Run(device, func(t *testing.T) {
			run := clitest.NewRun(t)
			out := clitest.Succeed(t, "", m.Pretrain(run, m.Evaluated("--eval-every", "2", "--save-every", "2",
				"--keep", "2",
				"--device", device, "--json")...)...)
			out, samples := cutLastLine(out)
			if out != clitest.Contents(t, run, "metrics.jsonl") {
				t.Errorf("--json does not print the lines of metrics.jsonl but\n%s", out)
			}
			checkSamples(t, run, device, samples)
			lines := clitest.ReadMetrics(t, run)
			clitest.CheckSchema(t, lines)
			checkStory(t, lines)
			checkSteps(t, run, lines)
			checkFolder(t, run, m)
			checkFinal(t, run, m, device, lines)
		})
	}
}

// cutLastLine parts the last line from those before it.
func cutLastLine(text string) (before, last string) {
	at := strings.LastIndexByte(strings.TrimSuffix(text, "\n"), '\n') + 1
	return text[:at], text[at:]
}

// checkSamples: after the lines of metrics.jsonl comes what the trained model says, as generate says it.
func checkSamples(t *testing.T, run, device, line string) {
	t.Helper()
	type spoken struct {
		Prompt, Text string
		IDs          []uint32
		Finish       string `json:"finish_reason"`
		LogProbs     []float64
	}
	var said struct {
		Event   string
		Samples []spoken
	}
	if err := json.Unmarshal([]byte(line), &said); err != nil || said.Event != "samples" || len(said.Samples) == 0 {
		t.Fatalf("the last line is %q, %v", line, err)
	}
	for _, s := range said.Samples {
		var again spoken
		out := clitest.Succeed(t, "", "generate", "--model", run, "--device", device, "--prompt", s.Prompt,
			"--max-tokens", "32", "--temperature", "0.8", "--top-p", "0.95", "--json")
		if err := json.Unmarshal([]byte(out), &again); err != nil {
			t.Fatal(err)
		}
		if again.Prompt = s.Prompt; !cmp.Equal(again, s) || len(s.IDs) == 0 {
			t.Errorf("pretrain ends with %+v, generate says %+v", s, again)
		}
	}
}

// checkStory: T = round(8/1.75) = 5, growth after floor(0.75*5) = 3 steps.
func checkStory(t *testing.T, lines []clitest.MetricsLine) {
	t.Helper()
	evals := func(when string) []string { return []string{"eval validation " + when, "eval wikitext " + when} }
	want := slices.Concat(
		[]string{"step 1", "step 2", "checkpoint step-2"}, evals("every"),
		[]string{"step 3", "checkpoint step-3"}, evals("before growth"), []string{"growth"}, evals("after growth"),
		[]string{"step 4", "checkpoint step-4"}, evals("every"),
		[]string{"step 5", "step 6", "checkpoint step-6"}, evals("every"),
		[]string{"step 7", "step 8", "checkpoint step-8"}, evals("end"), []string{"end final"},
	)
	if diff := cmp.Diff(want, clitest.Story(lines)); diff != "" {
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

func checkSteps(t *testing.T, run string, lines []clitest.MetricsLine) {
	t.Helper()
	recipe, layouts := recipeOf(t, run)
	n, largest := 0, 0.0
	for _, l := range lines {
		if l.Text("event") == "growth" {
			trainable, frozen := layouts[1].Count()
			want := fmt.Sprintf("2 to 4, new [1 2], %d trainable, %d frozen", trainable, frozen)
			if got := fmt.Sprintf("%s to %s, new %s, %s trainable, %s frozen", l["from_layers"], l["to_layers"],
				strings.ReplaceAll(string(l["new_blocks"]), ",",
					" "), l["trainable_parameters"], l["frozen_parameters"]); got != want {
				t.Errorf("growth %s, want %s", got, want)
			}
		}
		if !l.Step() {
			continue
		}
		n++
		stage := 1
		if n > 3 {
			stage = 2
		}
		if l.Number(t, "stage") != float64(stage) || l.Number(t, "tokens") != float64(n*2*16) ||
			l.Number(t, "tokens_per_second") <= 0 {
			t.Errorf("step %d: %s", n, l)
		}
		// An untrained model knows nothing: ln(300). Eight steps change little.
		if loss := l.Number(t, "loss"); math.Abs(loss-math.Log(300)) > 0.5 {
			t.Errorf("step %d: loss %g", n, loss)
		}
		if l.Number(t, "grad_norm") <= 0 || l.Number(t, "lr") <= 0 || l.Number(t, "lr") > 1e-2 {
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
		if l.Number(t, "peak_bytes") < float64(total(bytes)) {
			t.Errorf("step %d: peak %s below what is there, %v", n, l["peak_bytes"], bytes)
		}
		largest = max(largest, l.Number(t, "peak_bytes"))
	}
	if n != 8 || recipe.Steps() != 8 || recipe.Method != "step" || recipe.LoRA.Rank != 2 {
		t.Errorf("%d steps by the recipe %+v", n, recipe)
	}
}

func checkFolder(t *testing.T, run string, m clitest.Material) {
	t.Helper()
	for dir, want := range map[string][]string{
		"":            {".lock", "checkpoints", "final", "metrics.jsonl", "recipe.json", "spec.json", "systems.json"},
		"checkpoints": {"LATEST", "step-6", "step-8"},
		"checkpoints/step-8": {"checksums.json", "layout.json", "model.safetensors", "optimizer.safetensors",
			"state.json"},
		"final": {"README.md", "checksums.json", "config.json", "generation_config.json", "model.safetensors",
			"special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"},
	} {
		if got := clitest.Entries(t, filepath.Join(run, dir)); !slices.Equal(got, want) {
			t.Errorf("%q holds %q, want %q", dir, got, want)
		}
	}
	card := clitest.Contents(t, run, "final", "README.md")
	for _, part := range []string{"`step`", "| validation | ", "| wikitext | "} {
		if !strings.Contains(card, part) {
			t.Errorf("the model card lacks %q:\n%s", part, card)
		}
	}
	if latest := strings.TrimSpace(clitest.Contents(t, run, "checkpoints", "LATEST")); latest != "step-8" {
		t.Errorf("LATEST is %q", latest)
	}
	ids := func(tokenizer string) string {
		return clitest.Succeed(t, `"The cat sat."`, "tokenizer", "encode", "--tokenizer", tokenizer)
	}
	if got, want := ids(filepath.Join(run, "final")), ids(m.Tokenizer); got != want {
		t.Errorf("the final tokenizer says %s, the run's %s", got, want)
	}
}

// checkFinal measures the exported model by the other commands.
func checkFinal(t *testing.T, run string, m clitest.Material, device string, lines []clitest.MetricsLine) {
	t.Helper()
	last := map[string]float64{}
	for _, l := range lines {
		if l.Text("event") == "eval" && l.Text("when") == "end" {
			var r struct{ Perplexity float64 }
			if err := json.Unmarshal(l["result"], &r); err != nil {
				t.Fatal(err)
			}
			last[l.Text("set")] = r.Perplexity
		}
	}
	for _, model := range []string{run, filepath.Join(run, "final")} {
		p := clitest.Perplexity(t, "--model", model, "--data", m.Validation, "--wikitext", m.Wikitext, "--context",
			"16",
			"--device", device)
		for i, set := range []string{"validation", "wikitext"} {
			if got := p.Results[i].Perplexity; math.Abs(got/last[set]-1) > 1e-3 { // the run's activations are bf16
				t.Errorf("%s: eval ppl says %.6f for %s, the run's end %.6f", model, got, set, last[set])
			}
		}
	}

	// The first window of 16, token by token.
	text := `"` + strings.ReplaceAll(clitest.WikiPages, "\n", `\n`) + `"`
	var ids []uint32
	if err := json.Unmarshal([]byte(clitest.Succeed(t, text, "tokenizer", "encode", "--tokenizer", m.Tokenizer)),
		&ids); err != nil {
		t.Fatal(err)
	}
	sum := clitest.Score(t, "--model", run, "--ids", clitest.Commas(ids[:17]), "--device", device).Nll()
	p := clitest.Perplexity(t, "--model", run, "--text", m.Wikitext, "--max-tokens", "16", "--device", device)
	if got, want := p.Results[0].Perplexity, math.Exp(sum/16); p.Results[0].Tokens != 16 ||
		math.Abs(got/want-1) > 1e-4 {
		t.Errorf("perplexity of 16 tokens %+v, their scores make %.6f", p.Results[0], want)
	}
}

// Without a terminal there are lines, not a bar; they begin with every choice
// that the paper leaves open.
func TestPretrainPrintsPlainLines(t *testing.T) {
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	stdout, stderr, code := clitest.Call(t, "", m.Pretrain(run, m.Evaluated("--device", "host")...)...)
	if code != 0 {
		t.Fatal(stderr)
	}
	if strings.ContainsAny(stdout+stderr, "\r\x1b") {
		t.Errorf("a bar without a terminal: %q %q", stdout, stderr)
	}
	for _, want := range []string{
		"4 layers, hidden 16, FFN 24, 2 heads (1 key-value), vocabulary 300",
		"step, 8 steps of 32 tokens (2 x 16, 1 micro-batch), seed 1",
		"memory     bf16, states split, gradients bf16: 14 bytes per trainable parameter, 2 per frozen one",
		"device     host (plain Go)",
		"grow (mean, upper), merge, freeze, wrap (LoRA rank 2, scale 1 on wq wk wv wo gate up down",
		"beside new layers and adapters the embedding, the head and the norms of frozen layers train on",
		"AdamW, betas 0.9 and 0.95, epsilon 1e-08, gradient norm clipped to 1; attention crosses documents",
		"step 3: saved step-3",
		"step 3: grew from 2 to 4 layers (new: 2, 3)",
		"are frozen",
		"step 3: validation perplexity",
		"per token (before growth, 64 tokens",
		"step 8: wikitext perplexity",
		"per word (end,",
		"step 1/8: stage 1/2, loss ", "step 3/8: stage 1/2, loss ", "step 4/8: stage 2/2, loss ",
		"step 8: the trained model is in " + filepath.Join(run, "final"), "step 8: the end",
		"\nWhat happened\n", "\nSpeed\n", "\nMemory on the device, by class\n", "\nFiles\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
}

// --tokens is rounded up to whole steps.
func TestPretrainTokens(t *testing.T) {
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	args := m.Pretrain(run, "--method", "vanilla", "--device", "host")
	i := slices.Index(args, "--steps")
	args = slices.Delete(args, i, i+2)
	clitest.Succeed(t, "", append(args, "--tokens", "97")...)
	lines := clitest.ReadMetrics(t, run)
	if got := clitest.Story(lines); !slices.Equal(got, []string{"step 1", "step 2", "step 3", "step 4",
		"checkpoint step-4",
		"end final"}) {
		t.Errorf("97 tokens in steps of 32: %q", got)
	}
}

// Ctrl-C in the first stage, a kill while growing, SIGTERM and the loss of the terminal in the second stage.
// What comes out is what a run gives that was left alone, to the last bit.
// A run whose output nobody reads any more saves and ends: what Ctrl-C ends first is often what the output goes to.
func TestNobodyListens(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a pipe that nobody reads is no signal there")
	}
	m, run := clitest.NewMaterial(t), clitest.NewRun(t)
	c := clitest.StartChild(t, clitest.CallOf(t.Context(), m.Pretrain(run, "--steps", "400", "--save-every", "0",
		"--device", "host", "--json")...))
	if _, err := bufio.NewReader(c.Out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	c.Out.Close()
	c.Fails(1, "saved", "--resume")
	name, _, err := record.LastCheckpoint(run)
	if err != nil || !strings.HasPrefix(name, "step-") || name == "step-400" {
		t.Errorf("the last checkpoint is %q, %v", name, err)
	}
}

func TestInterruptAndResume(t *testing.T) {
	m := clitest.NewMaterial(t)
	for _, device := range clitest.StoryDevices(t) {
		t.Run(device, func(t *testing.T) {
			// Growth after 9 of 21 steps, each so large that the signal arrives in time.
			run := clitest.NewRun(t)
			flags := func(out string) []string {
				return m.Pretrain(out, m.Evaluated("--steps", "21", "--batch-size", "4", "--seq-len", "64",
					"--grad-accum", "2", "--save-every", "4", "--device", device)...)
			}
			stop := func(args []string, signal os.Signal, key, value string) (stderr string, code int) {
				t.Helper()
				_, stderr, code = clitest.StopAt(t, clitest.CallOf(t.Context(), append(args, "--json")...), signal,
					func(line string) bool {
						l := clitest.ParseMetrics(t, []byte(line))[0]
						return l.Text(key) == value && (key == "event" || l.Step())
					})
				return stderr, code
			}
			interrupted := func(args []string, signal syscall.Signal, step string) {
				t.Helper()
				stderr, code := stop(args, signal, "step", step)
				clitest.CheckFailure(t, "pretrain, interrupted", stderr, code, 128+int(signal), "saved", "--resume")
				var last clitest.MetricsLine
				for _, l := range clitest.ReadMetrics(t, run) {
					if l.Step() {
						last = l
					}
				}
				if latest := strings.TrimSpace(clitest.Contents(t, run, "checkpoints",
					"LATEST")); latest != "step-"+last.Text("step") {
					t.Errorf("the last step is %s, LATEST is %s", last.Text("step"), latest)
				}
			}
			interrupted(flags(run), syscall.SIGINT, "2")
			resume := []string{"pretrain", "--resume", run, "--device", device}
			if stderr, code := stop(resume, os.Kill, "event", "growth"); code == 0 || stderr != "" {
				t.Errorf("killed while growing: exit code %d, %q", code, stderr)
			}
			interrupted(resume, syscall.SIGTERM, "12")
			if !signal.Ignored(syscall.SIGHUP) { // as it is under nohup, which the program has from this test
				interrupted(resume, syscall.SIGHUP, "15")
			}
			clitest.Succeed(t, "", resume...)

			straight := clitest.NewRun(t)
			clitest.Succeed(t, "", flags(straight)...)
			got, want := clitest.ReadMetrics(t, run), clitest.ReadMetrics(t, straight)
			if diff := cmp.Diff(clitest.Losses(want), clitest.Losses(got)); diff != "" {
				t.Errorf("losses (-straight +resumed):\n%s", diff)
			}
			clitest.CheckSchema(t, got)
			if !slices.ContainsFunc(got, func(l clitest.MetricsLine) bool { return l.Text("event") == "resume" }) {
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

// unprinted is an event that a view prints nothing of.
type unprinted struct{ record.At }

func (unprinted) Kind() string { return "none that is printed" }

// Events that come more often than plain lines do not begin the wait for the
// next line anew.
func TestViewKeepsTheBarAcrossEvents(t *testing.T) {
	v := newRunView(false, "runs/x", recipe.Recipe{Stages: []recipe.Stage{{Steps: 3}}}, &result{})
	metrics := record.Metrics{Step: 1, Stage: 1, TokensPerSecond: 1}
	v.step(metrics)
	bar := v.bar
	v.event(unprinted{})
	if metrics.Step = 2; bar == nil || v.bar != bar {
		t.Error("the training bar was begun anew after an event")
	}
	v.step(metrics)
	if metrics.Step = 3; v.bar.At() != 2 {
		t.Errorf("the bar is at step %d, want 2", v.bar.At())
	}
	if v.step(metrics); v.bar != nil {
		t.Error("the training bar outlives the last step")
	}
}
