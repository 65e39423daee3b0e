package report

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/eval"
	"steplm/stage/experiment"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
)

// steps of a made run, and the tokens of each.
const (
	steps      = 40
	stepTokens = 16
	ownBytes   = 1 << 16 // that the run's device keeps for itself
)

// made is a run whose numbers a test knows: everything but its losses and what was measured is as a real run writes it.
type made struct {
	name, method string
	stages       int
	layers       int            // 0: as many as others
	optimizer    optim.Settings // nil: AdamW
	seed         uint64
	lr           float64
	rates        []float64 // of each stage; nil: lr of all
	end          float64   // to which the loss falls from 6, on a line
	perplexity   float64   // of the validation set, at the end
	peak         int64     // bytes
	more         int       // steps than others have
	stop         int       // after so many steps; 0: at the end
	failure      string    // with which it diverges then
	spec         map[string]any
	says         string // what the model adds to a prompt in the middle and at the end; "": it is not heard
	reference    string // what that prompt, an example, answers; "": it is none
}

// recipe is the run's.
func (m made) recipe(t *testing.T) recipe.Recipe {
	t.Helper()
	o := recipetest.Tiny()
	o.Model.Layers = cmp.Or(m.layers, o.Model.Layers)
	o.Steps, o.Seed, o.LR, o.Stages = steps+m.more, m.seed, []float64{m.lr}, max(1, m.stages)
	if m.rates != nil {
		o.LR = m.rates
	}
	if m.optimizer != nil {
		o.Optimizer.Settings = m.optimizer
	}
	if m.method == recipe.VanillaName {
		o.LoRA = model.LoRALayout{}
	}
	r := recipetest.Must(t, m.method, o)
	r.Data = recipe.Data{Train: strings.Repeat("da7a", 16), Tokenizer: strings.Repeat("70ce", 16)}
	return r
}

// loss after a step.
func (m made) loss(step int) float64 { return 6 - (6-m.end)*float64(step)/steps }

// write writes the run's folder into another.
func (m made) write(t *testing.T, dir string) (folder string) {
	t.Helper()
	folder = filepath.Join(dir, m.name)
	r := m.recipe(t)
	spec := map[string]any{"method": map[string]any{"name": m.method}, "schedule": map[string]any{"lr": []float64{m.lr},
		"seed": m.seed}, "output": map[string]any{"out": folder},
		"data": map[string]any{"train": []string{"/far/away/train"},
			"tokenizer": "/far/away/tokenizer.json"}}
	for name, value := range m.spec {
		spec[name] = value
	}
	f, err := record.Create(folder, r, spec)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	system := record.System{Device: "a made GPU", Own: ownBytes, Program: "steplm 1.0", Go: "go1.26",
		Target: "linux/amd64"}
	if err := f.RunsOn(system); err != nil {
		t.Fatal(err)
	}
	for _, e := range m.events(t, r) {
		if err := f.Metrics.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// events are the lines of the run's metrics.
func (m made) events(t *testing.T, r recipe.Recipe) (list []record.Event) {
	t.Helper()
	for step := 1; step <= r.Steps(); step++ {
		stage, _ := r.StageOf(step - 1)
		at := record.At{Step: step, Stage: stage + 1, Peaks: record.Peaks{PeakBytes: m.peak}}
		states := m.peak / 4 / 4 * int64(r.Stages[stage].Layers) / int64(r.Model.Layers)
		list = append(list, record.Metrics{Step: step, Stage: stage + 1, Loss: m.loss(step), LR: m.lr, GradNorm: 1,
			Tokens: int64(stepTokens * step), TokensPerSecond: 8, Peaks: at.Peaks, Bytes: map[string]int64{
				"weights": states, "adapters": 0, "gradients": states, "optimizer": 2 * states,
				"activations": m.peak / 2,
				"scratch":     m.peak / 8}})
		if step == m.stop {
			if m.failure != "" {
				list = append(list, record.Failure{At: at, Error: m.failure, Diverged: true})
			}
			return list
		}
		if next, _ := r.StageOf(step); next > stage && step < r.Steps() {
			at.Stage++
			change := record.Transition{At: at, From: r.Stages[stage].Layers, To: r.Stages[next].Layers, Seconds: 1}
			if change.To > change.From {
				list = append(list, record.Growth{Transition: change})
			} else {
				list = append(list, change)
			}
		}
		if m.says != "" && step%(steps/2) == 0 {
			list = append(list, record.Samples{At: at, Samples: []record.Sample{
				{Prompt: "Once " + m.says, Text: fmt.Sprintf("%s at %d", m.says, step), Finish: "length",
					Reference: m.reference},
				{Prompt: "The", Text: " end", Finish: "eos"}}})
		}
		if step == steps/2 {
			list = append(list, measured(t, at, "every", "validation", 2*m.perplexity))
		}
	}
	at := record.At{Step: steps, Stage: len(r.Stages), Peaks: record.Peaks{PeakBytes: m.peak}}
	return append(list, measured(t, at, "end", "validation", m.perplexity),
		measured(t, at, "end", "wikitext", 10*m.perplexity), record.End{At: at, Checkpoint: "final"})
}

// measured is an evaluation of a set at 2 nats for each of 100 tokens.
func measured(t *testing.T, at record.At, when, set string, perplexity float64) record.Event {
	t.Helper()
	result := eval.Result{Task: set, Protocol: eval.Protocol{Unit: "token", Context: 8, Stride: 8},
		Metrics: map[string]eval.Metric{"perplexity": {Value: perplexity}, "nll": {Value: 200}, "tokens": {Value: 100}}}
	if set == "wikitext" {
		result.Protocol.Unit = "word"
		result.Metrics["word_perplexity"] = eval.Metric{Value: perplexity}
	}
	plain, err := record.Plain(result)
	if err != nil {
		t.Fatal(err)
	}
	return record.Evaluation{At: at, When: when, Set: set, Result: plain, Seconds: 1}
}

const gib = 1 << 30

// madeRuns writes four seeds of vanilla training, three of STEP, which is the best within 2 GiB, two of SCALE, and a
// rate of vanilla's that did worse. The perplexities of the first two are those of stage/compare's test against SciPy.
func madeRuns(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	vanilla, step := []float64{311.0, 306.2, 309.5, 301.25}, []float64{305.0, 299.2, 307.75}
	for i, p := range vanilla {
		seed := uint64(i + 1)
		made{name: "vanilla-" + string('0'+rune(seed)), method: "vanilla", seed: seed, lr: 0.01, end: 4, perplexity: p,
			peak: 3 * gib}.write(t, dir)
		if i < len(step) {
			made{name: "step-" + string('0'+rune(seed)), method: "step", stages: 2, seed: seed, lr: 0.01,
				end: 3.5, perplexity: step[i], peak: 3 * gib / 2}.write(t, dir)
		}
		if i < 2 {
			made{
				name:       "scale-" + string('0'+rune(seed)),
				method:     "vanilla",
				optimizer:  optim.Scale{Momentum: 0.9, NormRate: 1, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8},
				seed:       seed,
				lr:         0.01,
				end:        5,
				perplexity: p + 100,
				peak:       gib,
			}.write(
				t,
				dir,
			)
		}
	}
	made{
		name:       "vanilla-fast",
		method:     "vanilla",
		seed:       1,
		lr:         0.1,
		end:        4.5,
		perplexity: 500,
		peak:       3 * gib,
	}.write(
		t,
		dir,
	)
	return dir
}

// written reads runs, writes their report, and returns its files.
func written(t *testing.T, dirs ...string) (html, markdown, csv string) {
	t.Helper()
	r, err := (&Reader{Dirs: dirs}).Read()
	if err != nil {
		t.Fatal(err)
	}
	return writtenOf(t, r)
}

// writtenOf writes a report, and returns its files.
func writtenOf(t *testing.T, r *Report) (html, markdown, csv string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "report")
	if err := r.Write(out); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, name := range []string{PageFile, MarkdownFile, experiment.ResultsFile} {
		text, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts[0], texts[1], texts[2]
}
