package trainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/hf"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/trainer/trainertest"
)

// withOptimizer are options of a tiny run with a published optimizer, whose projections, if it
// has some, are for three updates.
func withOptimizer(t *testing.T, name string) recipe.Options {
	t.Helper()
	o := recipetest.Tiny()
	fields := map[string]json.RawMessage{"projection_every": json.RawMessage("3")}
	settings, lr, err := optim.Choose(name, o.Model, fields, 1)
	var unheeded *optim.UnheededError
	if errors.As(err, &unheeded) {
		settings, lr, err = optim.Choose(name, o.Model, nil, 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	o.Optimizer = optim.Config{Settings: settings, MaxNorm: 1}
	o.LR = []float64{2 * lr}
	return o
}

// Every optimizer trains a model under either method and in every kind of states that it has,
// is planned as it is allocated, and goes on bit for bit from a checkpoint: within a stage,
// between two projections, and across a growth.
func TestEveryOptimizer(t *testing.T) {
	storages := []model.Storage{
		model.FullStorage,
		{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Frozen: model.BF16},
		{Precision: model.BF16, States: model.StochasticStates, Gradients: model.BF16, Frozen: model.BF16,
			Release: true},
	}
	for _, name := range optim.Names() {
		for i, s := range storages {
			method := []string{"step", "vanilla"}[i%2]
			t.Run(fmt.Sprint(name, " ", method, " ", s.States), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					o := withOptimizer(t, name)
					o.Storage = s
					stops := resumeStops
					if d.Name() != gpu.NewHost().Name() { // each of them in one kind of states
						stops = stops[i : i+1]
					}
					trainsAndResumes(t, d, method, o, stops)
				})
			})
		}
	}
}

// SCALE's own rule for LoRA's matrices keeps nothing of them: it trains under STEP and through ReLoRA's merges, which
// then have no moments to keep, is planned as it is allocated, and goes on bit for bit.
func TestScaleOfAdapters(t *testing.T) {
	for _, method := range []string{"step", "relora"} {
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			o := withOptimizer(t, "scale")
			c := o.Optimizer.Settings.(optim.Scale)
			c.AdapterRule = optim.AdapterRows
			o.Optimizer.Settings, o.MergeEvery = c, pointer(4)
			o.Storage = model.Storage{Precision: model.BF16, States: model.StochasticStates, Gradients: model.BF16,
				Frozen: model.BF16, Release: true}
			r := recipetest.Must(t, method, o)
			layouts, err := r.Layouts()
			if err != nil {
				t.Fatal(err)
			}
			lora := 0
			for _, p := range layouts[len(layouts)-1].Params() {
				if p.Role.LoRA() {
					lora++
					if planes := r.Optimizer.New().Specs(o.Storage, p); len(planes) > 0 {
						t.Errorf("%s: of %s is kept %v", method, p.Weight.Name, planes)
					}
				}
			}
			if lora == 0 {
				t.Errorf("%s has no LoRA", method)
			}
			trainsAndResumes(t, d, method, o, resumeStops)
		})
	}
}

// resumeStops are steps within the first stage, between two projections and after a growth.
var resumeStops = []int{2, 5, 9}

// trainsAndResumes trains a run to its end, with a save at each of some steps, and goes on from each.
func trainsAndResumes(t *testing.T, d gpu.Device, method string, o recipe.Options, stops []int) {
	t.Helper()
	switch method { // layers that are as deep as they need be: projections take long
	case "vanilla":
		o.Model.Layers, o.Stages = 2, 1
	case "step":
		o.Model.Layers, o.Split = 4, []int{2, 2}
	}
	r := recipetest.Must(t, method, o)
	batches := func() Batches { return trainertest.Random(1, o.Batch, o.Model.Vocab, 3) }
	whole, dir := newTrainer(t, d, r, batches()), t.TempDir()
	var losses []float64
	for _, stop := range stops {
		losses = append(losses, takeTo(t, whole, stop)...)
		if err := whole.Save(dir, savedAt(stop), kept(whole)); err != nil {
			t.Fatal(err)
		}
	}
	losses = append(losses, takeTo(t, whole, r.Steps())...)
	if first, last := losses[0], losses[len(losses)-1]; !(last < 0.97*first) {
		t.Errorf("from a loss of %.3f to %.3f", first, last)
	}
	if off := d.Ledger().Difference(gpu.Plan(d.Own(), r.Specs(whole.layout()))); off != "" {
		t.Error(off)
	}
	want, counted := contents(t, whole), numbers(whole)
	whole.Free()
	for _, stop := range stops {
		tr, err := load(d, r, batches(), filepath.Join(dir, savedAt(stop)))
		if err != nil {
			t.Fatal(err)
		}
		if got := takeTo(t, tr, r.Steps()); !slices.Equal(got, losses[stop:]) {
			t.Errorf("resumed at %d: losses %v, want %v", stop, got, losses[stop:])
		}
		if got := contents(t, tr); !maps.EqualFunc(got, want, slices.Equal) || numbers(tr) != counted {
			t.Errorf("resumed at %d it is another run", stop)
		}
		tr.Free()
	}
}

func savedAt(step int) string { return fmt.Sprint("at-", step) }

// Ten losses of a tiny model, and its gradient norms, are those of an independent program in
// float64: testdata/optimizers/generate.py, which says how it is run.
func TestOptimizersFixture(t *testing.T) {
	var f struct {
		Every    int
		Decay    float64 `json:"weight_decay"`
		MaxNorm  float64 `json:"max_norm"`
		Schedule struct {
			Warmup, Steps int
			MinRatio      float64 `json:"min_ratio"`
		}
		Runs map[string]struct {
			LR        float64
			Losses    []float64
			GradNorms []float64 `json:"grad_norms"`
		}
	}
	text, err := os.ReadFile("testdata/optimizers/losses.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	c, err := hf.ReadConfig(filepath.Join(fixture, "initial", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	every, rank := json.RawMessage("3"), json.RawMessage("4")
	for name, fields := range map[string]map[string]json.RawMessage{
		"galore": {"projection_every": every, "projection_rank": rank}, "apollo-mini": {"projection_every": every},
		"scale": nil,
	} {
		x := f.Runs[name]
		if len(x.Losses) != 10 || f.Every != 3 {
			t.Fatalf("%s has %d losses, refreshed every %d", name, len(x.Losses), f.Every)
		}
		settings, _, err := optim.Choose(name, c, fields, 1)
		if err != nil {
			t.Fatal(err)
		}
		var run fixtureRun
		run.Optimizer.LR, run.Optimizer.Decay = x.LR, f.Decay
		run.Schedule.Warmup, run.Schedule.Steps, run.Schedule.MinRatio = f.Schedule.Warmup, f.Schedule.Steps,
			f.Schedule.MinRatio
		run.Losses, run.GradNorms = x.Losses, x.GradNorms
		schedule := run.stageOf(c.Layers)
		for i := range x.Losses {
			at := *schedule.Schedule
			s := optim.Schedule{Courses: []optim.Begun[optim.Course]{{What: at}},
				Warmups: []optim.Begun[optim.Warmup]{{What: optim.Warmup(f.Schedule.Warmup)}}}
			run.LRs = append(run.LRs, x.LR*s.At(i))
		}
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				batches, _, size := fixtureBatches(t)
				r := run.recipe(c, size, schedule)
				r.Optimizer = optim.Config{Settings: settings, MaxNorm: f.MaxNorm}
				run.follow(t, fixtureTrainer(t, d, r, batches, "initial"), nil)
			})
		})
	}
}
