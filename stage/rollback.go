package stage

import (
	"context"
	"errors"
	"fmt"

	"steplm/model/advice"
	"steplm/stage/guard"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/trainer"
)

// guarded takes a step, before which the batches of spikes are left out. Its error is a guard.Spike where the run's
// guard, if it has one, does not let the step pass.
func (r *Run) guarded(ctx context.Context) (record.Metrics, error) {
	for range r.guard.Skips(r.trainer.Done()) {
		if err := r.trainer.Skip(ctx); err != nil {
			return record.Metrics{}, err
		}
	}
	m, err := r.trainer.Step(ctx)
	g, diverged := r.Recipe.Guard, (*trainer.Diverged)(nil)
	switch {
	case g == nil:
	case err == nil:
		err = r.guard.See(*g, m.Step, m.Loss, m.GradNorm)
	case errors.As(err, &diverged) && g.OnSpike == recipe.RollbackOnSpike:
		err = r.guard.See(*g, diverged.Step, diverged.Loss, diverged.Norm)
	}
	return m, err
}

// rollback goes back to before a spike, as a resume would, but that the spike's batches will be left out. The error is
// the spike where that is not to be.
func (r *Run) rollback(s *guard.Spike) error {
	g := r.Recipe.Guard
	lower := advice.Way{{How: advice.Lower, Option: advice.LR}}
	if g.OnSpike != recipe.RollbackOnSpike {
		s.Ways = []advice.Way{{{How: advice.Use, Option: advice.OnSpike, Value: recipe.RollbackOnSpike + " from the " +
			"start"}}, lower}
		return s
	}
	if r.guard.Rollbacks >= g.Most {
		s.Ways = []advice.Way{{{How: advice.Raise, Option: advice.MaxRollbacks}}, lower}
		return fmt.Errorf("after %d rollbacks, the most that are allowed: %w", r.guard.Rollbacks, s)
	}
	name, kept, err := r.goBack()
	if err != nil {
		return fmt.Errorf("step %d spiked, and the run cannot go back: %w", s.Step, err)
	}
	r.guard.GoBack(kept.Guard, s)
	r.best = kept.Best
	if err := r.openMetrics(kept.Metrics); err != nil || !r.Reducer.Leads() {
		return err
	}
	e := record.Rollback{At: r.trainer.At(), Checkpoint: name, Spike: s.Step, Loss: s.Loss, GradNorm: s.Norm,
		MedianLoss: s.MedianLoss, MedianNorm: s.MedianNorm, Rollbacks: r.guard.Rollbacks}
	if !s.Finite() {
		e.Loss, e.GradNorm, e.NotFinite = 0, 0, true
	}
	for _, e := range r.rolledBack { // Those since the checkpoint were cut off with what followed it.
		if err := r.Folder.Metrics.Write(e); err != nil {
			return err
		}
	}
	r.rolledBack = append(r.rolledBack, e)
	if err := r.event(e); err != nil {
		return err
	}
	return r.Folder.Metrics.Keep()
}

// goBack goes to the last checkpoint, whose name it gives, or to the run's beginning where there is none.
func (r *Run) goBack() (name string, kept trainer.Kept, err error) {
	r.trainer.Free()
	name, err = r.lastCheckpoint()
	switch {
	case err != nil:
	case name != "":
		kept, err = r.load(name)
	default:
		if err = r.Batches.Seek(r.began); err == nil {
			err = r.begin()
		}
	}
	return name, kept, err
}
