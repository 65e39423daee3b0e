package session

import (
	"encoding/json"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/model/advice"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
)

// told is options that a user gives.
type told map[advice.Option]any

// run is a Spec of so many steps of a preset, with options.
func run(t *testing.T, method, preset string, options told) Spec {
	t.Helper()
	s := Default()
	s.Method.Name, s.Model.Name, s.Schedule.Steps = method, preset, 4000
	for o, value := range options {
		if err := s.Set(o, value); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func made(s Spec) (recipe.Recipe, error) {
	o, err := s.choices(0)
	if err != nil {
		return recipe.Recipe{}, err
	}
	return recipe.NewRecipe(s.Method.Name, o)
}

// Where a user says nothing, methods and optimizers have the numbers that they were published with; what a user says
// counts, also where it is what another method would have had.
func TestPublished(t *testing.T) {
	type numbers struct {
		optimizer              string
		clip, decay, lr, scale float64
		warmup                 int
	}
	for _, c := range []struct {
		name, method, preset string
		options              told
		want                 numbers
	}{
		{"vanilla", "vanilla", "60m", nil, numbers{"adamw", 1, 0.1, 1e-3, 0, 200}},
		{"step", "step", "60m", nil, numbers{"adamw", 1, 0.1, 1e-3, 1, 114}},
		{"lora", "lora", "60m", nil, numbers{"adamw", 1, 0.1, 1e-3, 1, 200}},
		{"galore", "galore", "60m", nil, numbers{"galore", 0, 0, 0.01, 0, 400}},
		{"galore, named", "galore", "60m", told{"optimizer": "galore"}, numbers{"galore", 0, 0, 0.01, 0, 400}},
		{"galore, told otherwise", "galore", "60m",
			told{"clip_norm": 1, "weight_decay": []float64{0.1}, "lr": []float64{1e-3}, "warmup": 3},
			numbers{"galore", 1, 0.1, 1e-3, 0, 3}},
		{"galore of 7B", "galore", "60m", told{"hidden": 4096}, numbers{"galore", 0, 0, 0.005, 0, 400}},
		{"relora", "relora", "60m", nil, numbers{"adamw", 1, 0, 5e-4, 0.25, 200}},
		{"relora, told otherwise", "relora", "60m",
			told{"alpha": 8, "weight_decay": []float64{0.1}, "lr": []float64{1e-3}},
			numbers{"adamw", 1, 0.1, 1e-3, 0.25, 200}},
		{"stack", "stack", "60m", nil, numbers{"adamw", 1, 0.1, 1e-3, 0, 80}},
		{"scale", "vanilla", "60m", told{"optimizer": "scale"}, numbers{"scale", 1, 0.1, 1e-3, 0, 200}},
		{"scale of 1B", "vanilla", "1.2b", told{"optimizer": "scale"}, numbers{"scale", 1, 0.1, 2e-4, 0, 200}},
		{"no clipping", "vanilla", "60m", told{"clip_norm": 0}, numbers{"adamw", 0, 0.1, 1e-3, 0, 200}},
	} {
		r, err := made(run(t, c.method, c.preset, c.options))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		first := r.Stages[0]
		got := numbers{optimizer: r.Optimizer.Settings.Name(), clip: r.Optimizer.MaxNorm, decay: first.Decay,
			lr: first.LR, warmup: first.Entry.Warmup()}
		if r.LoRA.Rank > 0 {
			got.scale = r.LoRA.Scale()
		}
		if c.method == "relora" { // Its warm start's own warm-up is as of any course; LoRA's are published.
			s := r.Stages[1]
			if c := s.Schedule; c.First != 100 || c.Every != 1000 || c.Rewarm != 20 || s.LR != 1e-3 {
				t.Errorf("rate %g, warm-ups %+v; published are 1e-3, 500 and 100 of 5000 steps", s.LR, c)
			}
		}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		about := r.About()
		for _, part := range map[string][]string{
			"galore": {"clipped to", "(0: never)", "weight decay", "warm-up"},
			"relora": {"clipped to", "weight decay", "rate"},
		}[c.method] {
			if !strings.Contains(about, part) {
				t.Errorf("%s: %q says nothing of %q", c.name, about, part)
			}
		}
	}
}

// The method that is an optimizer refuses another one, also that which is the default elsewhere, and names both.
func TestMethodRefusesAnotherOptimizer(t *testing.T) {
	for _, name := range []string{"adamw", "scale"} {
		_, err := made(run(t, "galore", "60m", told{"optimizer": name}))
		recipetest.WantError(t, err, "method galore", "optimizer "+name, "[leave out optimizer]",
			"[use method vanilla]")
	}
	// An earlier version's run says "adamw" and was trained by GaLore: it goes on.
	s, err := readSaved([]byte(`{"method": {"name": "galore"},
		"optimizer": {"name": "adamw", "clip_norm": 1, "weight_decay": [0.1]},
		"model": {"name": "60m"}, "schedule": {"steps": 10}}`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := made(s)
	if err != nil || r.Optimizer.Settings.Name() != "galore" || r.Optimizer.MaxNorm != 1 || r.Stages[0].Decay != 0.1 {
		t.Errorf("%+v, %v", r.Optimizer, err)
	}
	// A Spec says what was asked for, and no more.
	text, err := json.Marshal(run(t, "galore", "60m", nil).Optimizer)
	if err != nil || string(text) != "{}" {
		t.Errorf("%s, %v", text, err)
	}
}

// A model of 1.2B trains by STEP in three stages with SCALE in less than 2.5 GB of the device, at the default rank.
func TestBillionInLittleMemory(t *testing.T) {
	s := run(t, "step", "1.2b", told{"optimizer": "scale", "adapter_rule": "scale", "states": "stochastic",
		"release": true, "frozen": "int8", "recompute": "block", "stages": 3, "split": "real", "seq_len": 128,
		"batch_size": 1})
	r, err := made(s)
	if err != nil {
		t.Fatal(err)
	}
	layouts, err := r.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range layouts {
		if n := gpu.Plan(gpu.OwnSpecs(), r.Specs(l)).Total(); n > 2_500_000_000 || r.LoRA.Rank != 128 {
			t.Errorf("stage %d takes %d bytes at rank %d", i+1, n, r.LoRA.Rank)
		}
	}
}
