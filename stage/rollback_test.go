package stage

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/trainer"
	"steplm/stage/trainer/trainertest"
)

// guarded is a run of 14 steps that sees one batch again and again, but for another in some steps, counted from 0.
type guarded struct {
	recipe.Recipe
	dir       string
	spikes    []int
	saveEvery int
	event     func(record.Event)
}

func newGuarded(t *testing.T, on string, spikes ...int) guarded {
	t.Helper()
	o := recipetest.Tiny()
	o.Steps, o.Split, o.GrowAt, o.LR = 14, []int{5, 1}, 1, []float64{5e-2, 2e-3}
	if on != "" {
		o.Guard = &recipe.Guard{OnSpike: on, Loss: 1.2, Norm: 100, Window: 10, Most: 2}
	}
	return guarded{Recipe: recipetest.Must(t, "step", o), dir: filepath.Join(t.TempDir(), "run"), spikes: spikes,
		saveEvery: 2}
}

func (g guarded) run(ctx context.Context, d gpu.Device) error {
	same, other := trainertest.Random(1, g.Batch, g.Model.Vocab, 3), trainertest.Random(1, g.Batch, g.Model.Vocab, 4)
	batches := &trainertest.Listed{}
	for i := range 30 {
		b := same.Batches[0]
		if slices.Contains(g.spikes, i) {
			b = other.Batches[0]
		}
		batches.Batches = append(batches.Batches, b)
	}
	open, begin := func(dir string, r recipe.Recipe) (*Folder, error) { return CreateFolder(dir, r, nil) }, (*Run).Start
	if record.HoldsRun(g.dir) {
		open, begin = OpenFolder, (*Run).Resume
	}
	f, err := open(g.dir, g.Recipe)
	if err != nil {
		return err
	}
	defer f.Close()
	return begin(&Run{Recipe: g.Recipe, Device: d, Batches: batches, Folder: f, SaveEvery: g.saveEvery,
		Report: Report{Event: g.event}}, ctx)
}

// weights are those of the last checkpoint, with the optimizer's state.
func (g guarded) weights(t *testing.T) (all []byte) {
	t.Helper()
	for _, file := range []string{"model.safetensors", "optimizer.safetensors"} {
		b, err := os.ReadFile(filepath.Join(record.CheckpointAt(g.dir, "step-14"), file))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

// rollbacks are those that the run's record tells of.
func (g guarded) rollbacks(t *testing.T) (list []record.Rollback) {
	t.Helper()
	steps := 0
	for e, err := range record.Read(g.dir) {
		if err != nil {
			t.Fatal(err)
		}
		switch e := e.(type) {
		case record.Rollback:
			list = append(list, e)
		case record.Metrics:
			if steps++; e.Step != steps {
				t.Errorf("step %d follows step %d", e.Step, steps-1)
			}
		}
	}
	return list
}

// A run that rolls back is, bit for bit, the run that never saw the spike's batches: from a checkpoint, from its
// beginning, twice between two saves, and after a stop in between.
func TestRollback(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		calm := newGuarded(t, "")
		if err := calm.run(context.Background(), d); err != nil {
			t.Fatal(err)
		}
		want := calm.weights(t)
		for name, c := range map[string]struct {
			spikes    []int
			saveEvery int
			from      []string
		}{
			"from a checkpoint":      {[]int{6}, 4, []string{"step-4"}},
			"from the beginning":     {[]int{5}, 0, []string{""}},
			"right after a save":     {[]int{5}, 5, []string{"step-5"}},
			"twice, between saves":   {[]int{5, 7}, 4, []string{"step-4", "step-4"}},
			"two batches of a step":  {[]int{5, 6}, 4, []string{"step-4", "step-4"}},
			"twice, a save between":  {[]int{5, 12}, 4, []string{"step-4", "step-8"}},
			"in the stage that grew": {[]int{13}, 0, []string{"step-7"}},
		} {
			if d.Name() != gpu.NewHost().Name() && c.saveEvery != 0 {
				// What differs there is how a device is filled again.
				continue
			}
			g := newGuarded(t, recipe.RollbackOnSpike, c.spikes...)
			g.saveEvery = c.saveEvery
			stopped := g
			if err := g.run(context.Background(), d); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if !bytes.Equal(g.weights(t), want) {
				t.Errorf("%s, it is another run than without the spike", name)
			}
			var from []string
			for i, e := range g.rollbacks(t) {
				from = append(from, e.Checkpoint)
				if e.Loss < 1.2*e.MedianLoss || e.Rollbacks != i+1 {
					t.Errorf("%s: %+v", name, e)
				}
			}
			if !slices.Equal(from, c.from) {
				t.Errorf("%s: it went back to %q, want %q", name, from, c.from)
			}

			ctx, cancel := context.WithCancel(context.Background())
			stopped.dir = filepath.Join(t.TempDir(), "stopped")
			stopped.event = func(e record.Event) {
				if _, ok := e.(record.Rollback); ok {
					cancel()
				}
			}
			if err := stopped.run(ctx, d); !errors.Is(err, ErrStopped) {
				t.Fatalf("%s: %v", name, err)
			}
			stopped.event = nil
			if err := stopped.run(context.Background(), d); err != nil || !bytes.Equal(stopped.weights(t), want) {
				t.Errorf("%s, stopped after the first rollback, it is another run (%v)", name, err)
			}
		}
	})
}

// A spike stops a run that is told to stop, and one that went back often enough; what is saved stays.
func TestSpikeStops(t *testing.T) {
	d := gpu.NewHost()
	g := newGuarded(t, recipe.StopOnSpike, 6)
	err := g.run(context.Background(), d)
	recipetest.WantError(t, err, "step 7 is a spike", "medians", "[use on_spike rollback", "[lower lr]")
	if name, _, err := record.LastCheckpoint(g.dir); name != "step-6" {
		t.Errorf("the last checkpoint is %s, %v", name, err)
	}
	g = newGuarded(t, recipe.RollbackOnSpike, 5, 6, 7)
	recipetest.WantError(t, g.run(context.Background(), d), "after 2 rollbacks", "step 6 is a spike", "[raise "+
		"max_rollbacks]")
	g = newGuarded(t, "", 6)
	if err := g.run(context.Background(), d); err != nil {
		t.Errorf("without a guard: %v", err)
	}
}

// What a guard knows of a stage it forgets with it: a growth's higher loss is no spike. Guards that mean nothing are
// refused.
func TestGuard(t *testing.T) {
	g := newGuarded(t, recipe.RollbackOnSpike)
	if err := g.run(context.Background(), gpu.NewHost()); err != nil {
		t.Fatal(err)
	}
	for step, want := range map[int]int{6: 6, 8: 1, 12: 5} {
		s, err := trainer.ReadState(record.CheckpointAt(g.dir, checkpointName(step)), g.Recipe, g.Recipe.Hash())
		if err != nil || len(s.Guard.Losses) != want {
			t.Errorf("after step %d the guard knows %d losses, want %d (%v)", step, len(s.Guard.Losses), want, err)
		}
	}
	for part, edit := range map[string]func(*recipe.Guard){
		`"restart": choose one of stop, rollback`: func(g *recipe.Guard) { g.OnSpike = "restart" },
		"loss of 1 times":                         func(g *recipe.Guard) { g.Loss = 1 },
		"norm of NaN times":                       func(g *recipe.Guard) { g.Norm = math.NaN() },
		"median over 0 steps":                     func(g *recipe.Guard) { g.Window = 0 },
		"at most -1 rollbacks":                    func(g *recipe.Guard) { g.Most = -1 },
	} {
		r := g.Recipe
		guard := *r.Guard
		r.Guard = &guard
		edit(r.Guard)
		recipetest.WantError(t, r.Validate(), part)
	}
}

// What ran before a checkpoint was saved runs again on the device where it ran, and on no other; a folder without a
// checkpoint says nothing.
func TestRestoreChoices(t *testing.T) {
	g, d := newGuarded(t, ""), gpu.NewHost()
	if err := g.run(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	again, dry := gpu.NewHost(), gpu.NewDry(d.Limits())
	RestoreChoices(again, t.TempDir())
	RestoreChoices(again, g.dir)
	RestoreChoices(dry, g.dir)
	used := d.Choices().Used()
	for class, use := range used {
		if got := again.Choices().Chosen(class); got != use.Variant {
			t.Errorf("%s: restored %q, saved %q", class, got, use.Variant)
		}
		if got := dry.Choices().Chosen(class); got != "" {
			t.Errorf("%s: another device took %q", class, got)
		}
	}
	if len(used) == 0 {
		t.Error("nothing had a choice: this shows nothing")
	}
}

// A run that diverges, or that a spike stops, says so in its metrics, once, however often it is gone on with; one that
// is told to stop says nothing.
func TestFailuresAreWrittenDown(t *testing.T) {
	for _, c := range []struct {
		name  string
		run   func() guarded
		steps int
	}{
		{"diverged", func() guarded {
			g := newGuarded(t, "")
			g.Recipe.Stages[0].LR, g.Recipe.Stages[0].LoRALR = 1e38, 1e38
			return g
		}, 0},
		{"spike", func() guarded { return newGuarded(t, recipe.StopOnSpike, 6) }, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := c.run()
			for range 2 { // begun, and gone on with
				err := g.run(context.Background(), gpu.NewHost())
				if !Diverged(err) {
					t.Fatalf("it ends in %v", err)
				}
				steps, failures := 0, []record.Failure{}
				for e, readErr := range record.Read(g.dir) {
					if readErr != nil {
						t.Fatal(readErr)
					}
					switch e := e.(type) {
					case record.Metrics:
						steps = e.Step
					case record.Failure:
						failures = append(failures, e)
					}
				}
				if len(failures) != 1 || !failures[0].Diverged || failures[0].Error != err.Error() ||
					failures[0].Step != steps || steps < 1 || c.steps > 0 && steps != c.steps {
					t.Errorf("%d steps and %+v, of an end in %v", steps, failures, err)
				}
			}
		})
	}
	g := newGuarded(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	g.event = func(e record.Event) {
		if _, ok := e.(record.Checkpoint); ok {
			cancel()
		}
	}
	if err := g.run(ctx, gpu.NewHost()); !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	for e := range record.Read(g.dir) {
		if _, ok := e.(record.Failure); ok {
			t.Errorf("a run that was told to stop has %+v", e)
		}
	}
}
