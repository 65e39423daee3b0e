package stage

import (
	"context"
	"errors"
	"io"

	"steplm/data"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/stage/eval"
	"steplm/stage/guard"
	"steplm/stage/outer"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/samples"
	"steplm/stage/trainer"
)

// Run is a training run: a recipe, what it reads, and where it is kept.
type Run struct {
	Recipe     recipe.Recipe
	Device     gpu.Device
	Batches    trainer.Batches
	Folder     *Folder     // of a process that does not lead: FollowFolder
	Tasks      []eval.Task // what the model is measured on
	SaveEvery  int         // steps; 0: only before growth and at the end
	Keep       int         // checkpoints kept; 0: all
	EvalEvery  int         // steps; 0: only around growth and at the end
	EvalTokens int64       // of each task, within the run; 0: no evaluation within the run
	// FinalEvalTokens are scored of each task once the trained model is written; 0: no evaluation at the end.
	FinalEvalTokens int64
	Samples         samples.Plan // what the model is heard with while it trains
	// Patience is how many evaluations without a lower loss end the run early; its trained model is then that of the
	// lowest. 0: the run has all its steps, and the last one's model.
	Patience int
	// Reducer is of the processes of the run, each of which has a Run of its own; nil: it is the only one. The one that
	// leads saves, logs, evaluates and samples; the others have the same numbers of steps between these.
	Reducer *reduce.Reducer
	// Peers are the processes with which the run's rounds are made; nil: it is the only one.
	Peers  outer.Peers
	Report Report
	// Weights opens those that the recipe's Init is of; nil: there is none.
	Weights func() (model.Weights, io.Closer, error)
	// Export writes the trained model, adapters merged, into a directory.
	Export func(m *model.Model, dir *checkpoint.Dir) error

	// Trained is the checkpoint whose model is the trained one, once the run is over.
	Trained string

	trainer *trainer.Trainer // in the stage where the run is
	done    done             // with this trainer
	round   round            // that this trainer is in
	began   data.Cursor      // of the batches before the first step
	best    eval.Best        // of a run with patience
	guard   guard.Memory     // of a run with a guard

	rolledBack []record.Rollback // since the last save
	saves      saves
	paced      int         // the stage, from 1, in which a step was taken
	doing      reduce.Pace // as who keeps a watch was told last
	left       bool        // another process of a group was told to stop
	warned     []string    // what Report.Warn heard
}

// done are the steps after which things were last done; -1: not by this process.
type done struct{ saved, sampled, evaluated int }

// take makes a trainer the run's. One that begins anew has nothing to lose, and a checkpoint's is saved; what followed
// that in the metrics was cut off, and is done again.
func (r *Run) take(t *trainer.Trainer) error {
	r.trainer, r.done, r.round = t, done{t.Done(), -1, -1}, round{}
	return t.Join(r.Reducer)
}

// takeJoined makes a trainer the run's that begins where other processes are: nothing of that is in this one's folder.
func (r *Run) takeJoined(t *trainer.Trainer) error {
	err := r.take(t)
	if t.Done() > 0 {
		r.done.saved = -1
	}
	return err
}

// free releases what the run has on its device.
func (r *Run) free() {
	if r.trainer != nil {
		r.trainer.Free()
	}
}

// train does what the controller says until the run is over.
func (r *Run) train(ctx context.Context) (err error) {
	defer func() { err = r.failed(err) }()
	if err := r.Folder.NoLock; err != nil {
		r.warn("nothing keeps another process out of %s: %v", r.Folder.Dir, err)
	}
	r.spare()
	if err := r.ready(ctx); err != nil {
		return err
	}
	for {
		if stop, err := r.told(ctx); err != nil {
			return err
		} else if stop {
			return r.stop(ctx)
		}
		next := r.next()
		if next == nil {
			return r.end(ctx)
		}
		err := r.meanwhile(ctx, next(ctx))
		if err != nil && !(ctx.Err() != nil && errors.Is(err, ctx.Err())) { // which the next turn is told
			return err
		}
	}
}

// ready compiles what the stage's steps call, and compares what the processes of the run have there.
func (r *Run) ready(ctx context.Context) error {
	if err := r.compile(ctx); err != nil {
		return err
	}
	return r.agree()
}

// step begins a round if one is due, takes a step, and goes back from it if it spiked.
func (r *Run) step(ctx context.Context) error {
	if err := r.beginRound(ctx); err != nil {
		return err
	}
	// A step is not cut short: the cursor must stand between steps.
	err := r.takeStep(context.WithoutCancel(ctx))
	if spike := (*guard.Spike)(nil); errors.As(err, &spike) {
		return r.rollback(spike)
	}
	return err
}

// takeStep takes one, and writes down what became of it.
func (r *Run) takeStep(ctx context.Context) error {
	r.setPace(r.pace())
	defer r.setPace(reduce.AnyTime)
	m, err := r.guarded(ctx)
	if err != nil {
		return err
	}
	r.tellStep()
	if !r.Reducer.Leads() {
		return nil
	}
	err = errors.Join(r.Folder.Metrics.Write(m), r.Folder.Metrics.Keep())
	if err == nil && r.Report.Step != nil {
		r.Report.Step(m)
	}
	return err
}
