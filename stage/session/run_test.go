package session

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"steplm/gpu"
	"steplm/stage"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/reduce/reducetest"
)

// A run that fails before its first step leaves no folder, also where it is another process that is gone.
func TestFailedBeginningLeavesNoFolder(t *testing.T) {
	r := recipetest.Must(t, "step", recipetest.Tiny())
	dir := filepath.Join(t.TempDir(), "run")
	ranks := reducetest.Group(2)
	reducetest.Together(ranks, func(rank int) error {
		s := &Session{Recipe: r, Device: gpu.NewHost(), Reducer: reduce.New(ranks[rank], reduce.Options{})}
		s.Spec.Output.Out = dir
		if rank == 1 {
			if err := s.agree(); err != nil {
				t.Error(err)
			}
			return errors.New("killed")
		}
		if err := s.Run(t.Context(), stage.Report{}, nil); !errors.Is(err, reducetest.ErrLeft) {
			t.Errorf("the other process is gone: %v", err)
		}
		return nil
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is there: %v", err)
	}
}

// A run's folder is kept for a step, and for a checkpoint from before one.
func TestWhatAFolderIsKeptFor(t *testing.T) {
	for want, happens := range map[bool]func(stage.Report){
		true:  func(r stage.Report) { r.Event(record.Checkpoint{}) },
		false: func(r stage.Report) { r.Event(record.Resume{}) },
	} {
		kept, heard := false, 0
		happens(keeping(stage.Report{Event: func(record.Event) { heard++ }}, &kept))
		if kept != want || heard != 1 {
			t.Errorf("kept: %t, want %t; heard of %d events", kept, want, heard)
		}
	}
	kept := false
	if keeping(stage.Report{}, &kept).Step(record.Metrics{}); !kept {
		t.Error("a step is not kept")
	}
}
