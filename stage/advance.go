package stage

import (
	"context"
	"time"

	"steplm/stage/record"
)

// advance enters the next stage, with perplexity before and after where the transition asks for it. A checkpoint
// before it is enough to repeat it: a transition is a function of the recipe, the weights and the optimizer's state.
func (r *Run) advance(ctx context.Context) error {
	entry, kind := r.trainer.Entry(), "transition"
	if r.trainer.Grows() {
		kind = "growth"
	}
	if entry.Evaluate {
		r.done.evaluated = r.trainer.Done()
		if err := r.evaluate(ctx, "before "+kind); err != nil && ctx.Err() == nil {
			return err
		}
	}
	// What one process was told during that, all hear before the model changes.
	if stop, err := r.told(ctx); stop || err != nil {
		return err
	}
	start := time.Now()
	e, err := r.trainer.Advance()
	if err != nil {
		return err
	}
	r.guard.BeginStage()
	e.Seconds = time.Since(start).Seconds()
	if err := r.entered(e); err != nil {
		return err
	}
	if err := r.ready(ctx); err != nil {
		return err
	}
	if entry.Evaluate {
		return r.evaluate(ctx, "after "+kind)
	}
	return nil
}

// entered writes down that a stage was.
func (r *Run) entered(e record.Transition) error {
	var event record.Event = e
	if e.To > e.From {
		event = record.Growth{Transition: e}
	}
	if err := r.event(event); err != nil || !r.Reducer.Leads() {
		return err
	}
	return r.Folder.Metrics.Keep()
}
