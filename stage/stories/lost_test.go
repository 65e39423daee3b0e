package stories

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/model/checkpoint"
	"steplm/stage"
	"steplm/stage/record"
)

// stopped is a story on the host that was stopped at a point.
func stopped(t *testing.T, s story, point string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.Hook = func(p string) {
		if p == point {
			cancel()
		}
	}
	if err := s.run(ctx, gpu.NewHost()); !errors.Is(err, stage.ErrStopped) ||
		!strings.Contains(err.Error(), "is saved") {
		t.Fatalf("stopped at %q: %v", point, err)
	}
}

// warnings runs a story to its end and says what it warned of.
func warnings(t *testing.T, s story) (told []string) {
	t.Helper()
	s.Warn = func(text string) { told = append(told, text) }
	if err := s.run(context.Background(), gpu.NewHost()); err != nil {
		t.Fatal(err)
	}
	return told
}

// Without LATEST a run goes on from its newest whole checkpoint, and says so. Nothing is done twice and nothing lost.
func TestResumeWithoutLATEST(t *testing.T) {
	s := newStory(t)
	want, _ := straight(t, s, gpu.NewHost())
	for damaged, from := range map[bool]string{false: "step-6", true: "step-4"} {
		s := s.in(filepath.Join(t.TempDir(), "run"))
		stopped(t, s, "step 6")
		parent := filepath.Join(s.Dir, "checkpoints")
		if err := os.Remove(filepath.Join(parent, "LATEST")); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(parent, "step-99-of-another"), 0o755); err != nil {
			t.Fatal(err)
		}
		if damaged {
			if err := os.Truncate(filepath.Join(parent, "step-6", record.StateFile), 10); err != nil {
				t.Fatal(err)
			}
		}
		told := warnings(t, s)
		if len(told) != 1 || !strings.Contains(told[0], "no LATEST: going on from "+from) ||
			damaged != strings.Contains(told[0], record.StateFile) {
			t.Errorf("it said %q", told)
		}
		checkTold(t, s, want)
		for _, err := range record.Read(s.Dir) {
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// A run without a whole checkpoint is not begun again over those that there are.
func TestResumeWithoutAWholeCheckpoint(t *testing.T) {
	s := newStory(t)
	stopped(t, s, "step 2")
	parent := filepath.Join(s.Dir, "checkpoints")
	if err := errors.Join(os.Remove(filepath.Join(parent, "LATEST")),
		os.Truncate(filepath.Join(parent, "step-2", record.StateFile), 10)); err != nil {
		t.Fatal(err)
	}
	err := s.run(context.Background(), gpu.NewHost())
	if err == nil || !strings.Contains(err.Error(), "none of the 1 checkpoints") {
		t.Errorf("error %v", err)
	}
	if names := record.CheckpointNames(s.Dir); !slices.Equal(names, []string{"step-2"}) {
		t.Errorf("checkpoints %q", names)
	}
}

// What this process did not make, and did not go on from, is not pruned.
func TestPruneLeavesWhatIsNotKnown(t *testing.T) {
	s := newStory(t)
	s.Keep = 0
	stopped(t, s, "step 6")
	parent := filepath.Join(s.Dir, "checkpoints")
	// A copy, one under another step's name, one that lies after the place from which the run goes on.
	for from, to := range map[string]string{"step-2": "step-1", "step-4": "best", "step-6": "step-1000"} {
		if err := os.CopyFS(filepath.Join(parent, to), os.DirFS(filepath.Join(parent, from))); err != nil {
			t.Fatal(err)
		}
	}
	if err := checkpoint.SetLatest(parent, "step-4"); err != nil {
		t.Fatal(err)
	}
	s.Keep = 1
	if told := warnings(t, s); len(told) > 0 {
		t.Errorf("it said %q", told)
	}
	want := []string{"best", "step-1", "step-8", "step-1000"}
	if names := record.CheckpointNames(s.Dir); !slices.Equal(names, want) {
		t.Errorf("checkpoints %q, want %q", names, want)
	}
}

// Metrics that are shorter than the checkpoint says are gone on with; no byte is made up.
func TestResumeWithShorterMetrics(t *testing.T) {
	s := newStory(t)
	stopped(t, s, "step 6")
	path := filepath.Join(s.Dir, record.File)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if told := warnings(t, s); len(told) != 1 || !strings.Contains(told[0], "whole lines") {
		t.Errorf("it said %q", told)
	}
	last := 0
	for e, err := range record.Read(s.Dir) {
		if err != nil {
			t.Fatal(err)
		}
		last = e.Moment().Step
	}
	if last != s.Recipe.Steps() {
		t.Errorf("the last event is of step %d", last)
	}
}
