package stories

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/stage"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
)

// The checkpoint before a WSD's decay has a name and stays, whatever is kept. A run that has decayed is made longer
// from there: it is then, bit for bit, the run that was as long from the start, and what followed the checkpoint is
// set aside.
func TestRunIsExtendedFromBeforeItsDecay(t *testing.T) {
	d := gpu.NewHost()
	wsd := func(steps int, share float64) recipe.Recipe {
		o := recipetest.Story()
		o.Schedule, o.DecayShare, o.DecayShape, o.Steps, o.MinRatio = "wsd", share, "1-sqrt", steps, 0
		o.Split, o.GrowAt, o.Operator = nil, 0.25, ""
		return recipetest.Must(t, "stack", o)
	}
	s := newStory(t)
	s.Recipe, s.Keep = wsd(8, 3.0/8), 1
	s.Dir = filepath.Join(t.TempDir(), "run")
	if err := s.run(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	if names := record.CheckpointNames(s.Dir); !slices.Equal(names, []string{"stable-5", "step-8"}) {
		t.Fatalf("checkpoints %v", names)
	}
	before, err := os.ReadFile(filepath.Join(s.Dir, record.File))
	if err != nil {
		t.Fatal(err)
	}

	f, longer, err := stage.LengthenFolder(s.Dir, 11, map[string]int{})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if last, _, err := record.LastCheckpoint(s.Dir); last != "stable-5" || longer.DecayFrom() != 8 {
		t.Errorf("it goes on from %s (%v), decays from step %d", last, err, longer.DecayFrom())
	}
	aside, err := os.ReadFile(filepath.Join(s.Dir, "metrics-8.jsonl"))
	if err != nil || !bytes.Equal(aside, before) {
		t.Errorf("the metrics were not set aside: %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, record.FinalDir+"-8")); err != nil {
		t.Error(err)
	}
	s.Recipe = longer
	if err := s.run(context.Background(), d); err != nil {
		t.Fatal(err)
	}

	straight := s.in(filepath.Join(t.TempDir(), "straight"))
	straight.Recipe = wsd(11, 3.0/11)
	straight.Recipe.Stages[0].Steps, straight.Recipe.Stages[1].Steps = 2, 9 // grown when the other was
	if err := straight.run(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"model.safetensors", "optimizer.safetensors"} {
		a, errA := os.ReadFile(filepath.Join(record.CheckpointAt(s.Dir, "step-11"), file))
		b, errB := os.ReadFile(filepath.Join(record.CheckpointAt(straight.Dir, "step-11"), file))
		if err := errors.Join(errA, errB); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs from the straight run's (%v)", file, err)
		}
	}
}

// A run without its stable checkpoint is not made longer, and stays as it was.
func TestExtendNeedsTheStableCheckpoint(t *testing.T) {
	o := recipetest.Story()
	o.Schedule, o.DecayShare = "wsd", 0.5
	s := newStory(t)
	s.Recipe = recipetest.Must(t, "vanilla", o)
	s.Dir = filepath.Join(t.TempDir(), "run")
	if err := s.run(context.Background(), gpu.NewHost()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(record.CheckpointAt(s.Dir, "stable-4")); err != nil {
		t.Fatal(err)
	}
	_, _, err := stage.LengthenFolder(s.Dir, 12, nil)
	recipetest.WantError(t, err, "before its decay", "stable-4")
	if r, err := stage.ReadRecipe(s.Dir); err != nil || r.Steps() != 8 {
		t.Errorf("it has %d steps now, %v", r.Steps(), err)
	}
	o.Schedule = "linear"
	if _, err := recipetest.Must(t, "vanilla", o).Extend(9, ""); err == nil {
		t.Error("a linear course was extended")
	}
}
