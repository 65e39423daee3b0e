package stage

import (
	"context"
	"fmt"
	"path/filepath"

	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/stage/record"
)

// end exports the model, and only then measures it: an end to that loses nothing. A process that does not lead has
// done its work.
func (r *Run) end(ctx context.Context) error {
	if !r.Reducer.Leads() {
		return nil
	}
	e := record.End{}
	if r.Export != nil {
		if err := r.export(); err != nil {
			return err
		}
		e.Checkpoint = record.FinalDir
	}
	if r.FinalEvalTokens > 0 {
		_, err := r.evaluateTasks(ctx, "end", r.FinalEvalTokens)
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("%w, the trained model is in %s, its evaluation is not done", r.stopped(),
				filepath.Join(r.Folder.Dir, record.FinalDir))
		case err != nil:
			return err
		}
	}
	if r.saves.unpruned {
		r.prune()
	}
	e.At = r.trainer.At()
	return r.event(e)
}

// export writes the trained model.
func (r *Run) export() error {
	r.trainer.EndTraining()
	if err := r.takeBest(); err != nil {
		return err
	}
	d, err := checkpoint.Begin(r.Folder.Dir, record.FinalDir)
	if err != nil {
		return err
	}
	if err := r.Export(r.trainer.Model, d); err != nil {
		d.Abort()
		return err
	}
	if err := d.Commit(); err != nil {
		return err
	}
	if r.Report.Exported != nil {
		r.Report.Exported(record.FinalDir)
	}
	return nil
}

// takeBest makes the model that of the best evaluation, from its checkpoint, and says so.
func (r *Run) takeBest() error {
	t, b := r.trainer, r.best
	r.Trained = r.nameOf(t.Done())
	if r.Patience == 0 || b.Step == 0 {
		return nil
	}
	r.Trained = r.nameOf(b.Step)
	if b.Step != t.Done() {
		dir := record.CheckpointAt(r.Folder.Dir, r.Trained)
		err := checkpoint.Verify(dir, model.WeightsFile)
		if err == nil {
			err = t.Model.Restore(dir)
		}
		if err != nil {
			return fmt.Errorf("the best model, of step %d: %w", b.Step, err)
		}
	}
	return r.event(record.Best{At: t.At(), Checkpoint: r.Trained, Of: b.Step, Set: b.Set, Loss: b.Loss,
		Early: t.Done() < r.Recipe.Steps()})
}
