package session

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"steplm/data"
	"steplm/gpu"
	"steplm/stage"
	"steplm/stage/outer"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/reduce/reducetest"
	"steplm/stage/rounds"
	"steplm/stage/trainer/trainertest"
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

// noData is batches that cannot be read.
type noData struct{ trainertest.Listed }

var errNoData = errors.New("the disk is gone")

func (*noData) Next(context.Context) (data.Batch, error) { return data.Batch{}, errNoData }
func (*noData) Close() error                             { return nil }

// Processes that make rounds and fail before the first step are in nobody's way: they leave no folder, whichever is the
// last, and what one leaves that was ended before goes where the run begins again. What has a checkpoint stays.
func TestFailedRoundsAreInNobodysWay(t *testing.T) {
	o := recipetest.Tiny()
	o.Outer = &outer.Config{Every: 2, LR: 0.7, Momentum: 0.9}
	r, dir := recipetest.Must(t, "vanilla", o), filepath.Join(t.TempDir(), "run")
	each := func(do func(*Session) error) (errs [2]error) {
		ranks := reducetest.Group(2)
		reducetest.Together(ranks, func(rank int) error {
			s := &Session{Recipe: r, Device: gpu.NewHost(), batches: &noData{},
				meets: reduce.New(ranks[rank], reduce.Options{}), Peers: rounds.NewAmong(ranks[rank], 0)}
			if s.Spec.Output.Out = dir; rank > 0 {
				s.Spec.Output.Out = rankFolder(dir, rank)
			}
			errs[rank] = do(s)
			return errs[rank]
		})
		return errs
	}
	for _, err := range each(func(s *Session) error { return s.Run(t.Context(), stage.Report{}, nil) }) {
		if !errors.Is(err, errNoData) {
			t.Errorf("error %v, want %v", err, errNoData)
		}
	}
	if exists(dir) {
		t.Error("the folder is there")
	}
	left, err := stage.CreateFolder(rankFolder(dir, 1), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	left.Close()
	begin := func(s *Session) error {
		f, err := s.folder()
		if err == nil {
			f.Close()
		}
		return err
	}
	if errs := each(begin); errors.Join(errs[:]...) != nil {
		t.Errorf("beside what a process left that was ended: %v", errs)
	}
	// One that was ended as it took its folder left a lock there.
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(rankFolder(dir, 1), 0o755),
		os.WriteFile(filepath.Join(rankFolder(dir, 1), ".lock"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if errs := each(begin); errors.Join(errs[:]...) != nil {
		t.Errorf("beside a lock: %v", errs)
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, record.RecipeFile)),
		os.MkdirAll(record.CheckpointAt(rankFolder(dir, 1), "step-2"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if errs := each(begin); errs[0] == nil || !record.HoldsRun(rankFolder(dir, 1)) {
		t.Errorf("beside a checkpoint: %v", errs)
	}
}
