package stage

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model/hf"
	"steplm/model/optim"
)

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
