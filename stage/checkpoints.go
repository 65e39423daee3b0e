package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"steplm/model/checkpoint"
	"steplm/stage/record"
	"steplm/stage/trainer"
)

// saves is what a run knows of its checkpoints.
type saves struct {
	known    []string // that this process made or that lead to where it went on, oldest first
	spared   string   // the best model's, of a run with patience
	unnamed  string   // the last one, if LATEST could not be pointed at it
	unpruned bool     // something old could not be removed
}

// history is the checkpoints of this run up to the one that it goes on from: those that may be pruned. One that lies
// after it, or is of another recipe, is not this process's to remove.
func (r *Run) history(last string) []string {
	names := record.CheckpointNames(r.Folder.Dir)
	names = names[:slices.Index(names, last)+1]
	return slices.DeleteFunc(names, func(name string) bool {
		s, err := trainer.ReadState(record.CheckpointAt(r.Folder.Dir, name), r.Recipe, r.Folder.hash)
		return err != nil || name != checkpointName(s.Step)
	})
}

// nameOf is the name of the run's checkpoint after a step.
func (r *Run) nameOf(step int) string {
	if step == r.Recipe.DecayFrom() && step > 0 {
		return record.StableCheckpoint(step)
	}
	return checkpointName(step)
}

// checkpointName is the name of the checkpoint after a step.
func checkpointName(step int) string { return fmt.Sprintf("step-%d", step) }

// save has the process that leads write a checkpoint, once all agree what is in it.
func (r *Run) save(context.Context) error {
	if err := r.agree(); err != nil {
		return err
	}
	if r.Reducer.Leads() {
		if err := r.write(); err != nil {
			return err
		}
	}
	r.done.saved = r.trainer.Done()
	return nil
}

// write writes a checkpoint, then prunes the old ones.
func (r *Run) write() error {
	start := time.Now()
	name := r.nameOf(r.trainer.Done())
	metrics, err := r.Folder.Metrics.Kept()
	if err != nil {
		return err
	}
	err = r.trainer.Save(r.Folder.Checkpoints(), name,
		trainer.Kept{Recipe: r.Folder.hash, Metrics: metrics, Best: r.best, Guard: r.guard})
	r.saves.unnamed = ""
	if errors.Is(err, checkpoint.ErrNotReplaced) {
		r.saves.unnamed = name
		r.warn("%v: until a later save a resume goes on from there", err)
	} else if err != nil {
		return err
	}
	r.rolledBack = nil
	if name == checkpointName(r.trainer.Done()) { // the one before a decay stays
		r.saves.known = append(slices.DeleteFunc(r.saves.known, func(k string) bool { return k == name }), name)
	}
	r.spare()
	r.prune()
	return r.event(record.Checkpoint{At: r.trainer.At(), Checkpoint: name, Seconds: time.Since(start).Seconds()})
}

// spare keeps the best model's checkpoint from being removed, if a best one is wanted.
func (r *Run) spare() {
	if r.best.Step > 0 {
		r.saves.spared = r.nameOf(r.best.Step)
	}
}

// prune removes old checkpoints. What the system does not let go now, since a virus scanner reads it, say, goes with a
// later save or at the run's end, or is cleaned away by a resume: never is it the end of a run.
func (r *Run) prune() {
	old := slices.DeleteFunc(slices.Clone(r.saves.known), func(name string) bool { return name == r.saves.spared })
	_, err := checkpoint.Prune(r.Folder.Checkpoints(), old, r.Keep)
	if r.saves.unpruned = err != nil; r.saves.unpruned {
		r.warn("old checkpoints take room until they can be removed: %v", err)
	}
}

// ErrStopped is returned when the context ended the run after its last step was saved, or before its first.
var ErrStopped = errors.New("stopped")

// stop ends a run that was told to stop once its last step is saved.
func (r *Run) stop(ctx context.Context) error {
	if r.done.saved != r.trainer.Done() {
		if err := r.save(ctx); err != nil {
			return err
		}
	}
	return r.stopped()
}

// stopped is the end of such a run: its last checkpoint must be the one that a resume finds.
func (r *Run) stopped() error {
	step := r.trainer.Done()
	if step == 0 {
		return fmt.Errorf("%w before the first step", ErrStopped)
	}
	if r.saves.unnamed != "" {
		if err := checkpoint.SetLatest(r.Folder.Checkpoints(), r.saves.unnamed); err != nil {
			return fmt.Errorf("stopped; the last step is saved as %s, but not for a resume: %w", r.saves.unnamed, err)
		}
	}
	return fmt.Errorf("%w; the last step, %d, is saved", ErrStopped, step)
}
