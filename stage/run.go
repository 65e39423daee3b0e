package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"steplm/gpu"
	"steplm/model/checkpoint"
	"steplm/stage/eval"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// Run is a training run: a recipe, what it reads, and where it is kept.
type Run struct {
	Recipe     recipe.Recipe
	Device     gpu.Device
	Batches    Batches
	Folder     *Folder
	Tasks      []eval.Task // what the model is measured on
	SaveEvery  int         // steps; 0: only before growth and at the end
	Keep       int         // checkpoints kept; 0: all
	EvalEvery  int         // steps; 0: only around growth and at the end
	EvalTokens int64       // of each task, within the run; 0: no evaluation within the run
	Report     Report
	known      []string // checkpoints that this process made or that lead to where it went on, oldest first
	// Export writes the trained model, adapters merged, into a directory.
	Export func(t *Trainer, dir *checkpoint.Dir) error
}

// Report hears what happens; nil functions are not called.
type Report struct {
	Step  func(record.Metrics)
	Event func(record.Event)   // that is no step
	Warn  func(message string) // what is not as it should be and does not stop the run
	// Evaluating hears how many tokens of a task are scored.
	Evaluating func(task string, tokens int64)
}

// ErrStopped is returned when the context ended the run after its last step was saved, or before its first.
var ErrStopped = errors.New("stopped")

// Start begins the run from its seed.
func (r *Run) Start(ctx context.Context) error {
	t, err := NewTrainer(r.Device, r.Recipe, r.Batches)
	if err != nil {
		return err
	}
	defer t.Free()
	t.hash = r.Folder.hash
	return r.train(ctx, t)
}

// Resume continues the run from its last checkpoint, or from its seed when it
// has none. A run that
// is over evaluates and exports once more.
func (r *Run) Resume(ctx context.Context) error {
	name, note, err := record.LastCheckpoint(r.Folder.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := r.Folder.OpenMetrics(0); err != nil {
			return err
		}
		return r.Start(ctx)
	}
	if err != nil {
		return err
	}
	r.warn(note)
	at := filepath.Join(r.Folder.Checkpoints(), name)
	t, metrics, err := loadTrainer(r.Device, r.Recipe, r.Folder.hash, r.Batches, at)
	if err != nil {
		return fmt.Errorf("%w (to go on from an older one, write its name, such as step-100, into %s)", err,
			filepath.Join(r.Folder.Checkpoints(), "LATEST"))
	}
	defer t.Free()
	r.known = r.history(name)
	if note, err = r.Folder.OpenMetrics(metrics); err != nil {
		return err
	}
	r.warn(note)
	if err := r.event(record.Resume{At: t.at(), Checkpoint: name, Device: r.Device.Name()}); err != nil {
		return err
	}
	return r.train(ctx, t)
}

// history is the checkpoints of this run up to the one that it goes on from: those that may be pruned. One that lies
// after it, or is of another recipe, is not this process's to remove.
func (r *Run) history(last string) []string {
	names := record.CheckpointNames(r.Folder.Dir)
	names = names[:slices.Index(names, last)+1]
	return slices.DeleteFunc(names, func(name string) bool {
		s, err := parseState(filepath.Join(r.Folder.Checkpoints(), name), r.Recipe, r.Folder.hash)
		return err != nil || name != checkpointName(s.Step)
	})
}

// checkpointName is the name of the checkpoint after a step.
func checkpointName(step int) string { return fmt.Sprintf("step-%d", step) }

// warn tells what is not as it should be; "" is nothing.
func (r *Run) warn(message string) {
	if message != "" && r.Report.Warn != nil {
		r.Report.Warn(message)
	}
}

// train asks the controller what to do next until the run is over.
func (r *Run) train(ctx context.Context, t *Trainer) error {
	// A resumed run is saved already; a new one has nothing to lose. What followed
	// the last step's line in the metrics was cut off and is done again.
	saved, evaluated := t.step, -1
	for {
		if ctx.Err() != nil {
			if saved != t.step {
				if err := r.save(t); err != nil {
					return err
				}
			}
			if t.step == 0 {
				return fmt.Errorf("%w before the first step", ErrStopped)
			}
			return fmt.Errorf("%w; the last step, %d, is saved", ErrStopped, t.step)
		}
		var err error
		switch r.next(t, saved, evaluated) {
		case actSave:
			err = r.save(t)
			saved = t.step
		case actEvaluate:
			err = r.evaluate(ctx, t, "every")
			evaluated = t.step
		case actAdvance:
			if t.entry().Evaluate {
				evaluated = t.step
			}
			err = r.advance(ctx, t)
		case actStep:
			var m record.Metrics
			// A step is not cut short: the cursor must stand between steps.
			if m, err = t.Step(context.WithoutCancel(ctx)); err == nil {
				err = errors.Join(r.Folder.Metrics.Write(m), r.Folder.Metrics.Keep())
				if err == nil && r.Report.Step != nil {
					r.Report.Step(m)
				}
			}
		case actEnd:
			return r.end(ctx, t)
		}
		if err != nil && !(ctx.Err() != nil && errors.Is(err, ctx.Err())) {
			return err
		}
	}
}

// at is the moment that the trainer is at.
func (t *Trainer) at() record.At {
	return record.At{Step: t.step, Stage: t.stage + 1, Peaks: peaksOf(t.dev)}
}

func (r *Run) event(e record.Event) error {
	if err := r.Folder.Metrics.Write(e); err != nil {
		return err
	}
	if r.Report.Event != nil {
		r.Report.Event(e)
	}
	return nil
}

// save writes a checkpoint, then prunes the old ones.
func (r *Run) save(t *Trainer) error {
	start := time.Now()
	name := checkpointName(t.step)
	n, err := r.Folder.Metrics.Kept()
	if err != nil {
		return err
	}
	if err := t.Save(r.Folder.Checkpoints(), name, n); err != nil {
		return err
	}
	r.known = append(slices.DeleteFunc(r.known, func(k string) bool { return k == name }), name)
	if _, err := checkpoint.Prune(r.Folder.Checkpoints(), r.known, r.Keep); err != nil {
		return err
	}
	return r.event(record.Checkpoint{At: t.at(), Checkpoint: name, Seconds: time.Since(start).Seconds()})
}

// advance enters the next stage, with perplexity before and after where the transition asks
// for it. A checkpoint before it is enough to repeat it: a transition is a function of the
// recipe, the weights and the optimizer's state.
func (r *Run) advance(ctx context.Context, t *Trainer) error {
	entry, kind := t.entry(), "transition"
	if len(t.layouts[t.stage+1].Blocks) > len(t.layout().Blocks) {
		kind = "growth"
	}
	if entry.Evaluate {
		if err := r.evaluate(ctx, t, "before "+kind); err != nil {
			return err
		}
	}
	start := time.Now()
	done, err := t.Advance()
	if err != nil {
		return err
	}
	done.Seconds = time.Since(start).Seconds()
	var e record.Event = done
	if done.To > done.From {
		e = record.Growth{Transition: done}
	}
	if err := r.event(e); err != nil {
		return err
	}
	if err := r.Folder.Metrics.Keep(); err != nil {
		return err
	}
	if entry.Evaluate {
		return r.evaluate(ctx, t, "after "+kind)
	}
	return nil
}

// evaluate scores the first EvalTokens of every task in the trainer's own
// buffers.
func (r *Run) evaluate(ctx context.Context, t *Trainer, when string) error {
	if r.EvalTokens == 0 {
		return nil
	}
	return r.evaluateAll(ctx, t, when, r.EvalTokens)
}

func (r *Run) evaluateAll(ctx context.Context, t *Trainer, when string, tokens int64) error {
	for _, task := range r.Tasks {
		start := time.Now()
		o := eval.Options{MaxTokens: tokens}
		if r.Report.Evaluating != nil {
			o.Progress = func(n int64, _ float64) { r.Report.Evaluating(task.Name(), n) }
		}
		res, err := task.Run(ctx, eval.OnDevice(t.Model, t.acts), o)
		if err != nil {
			return fmt.Errorf("evaluate %s: %w", task.Name(), err)
		}
		plain, err := record.Plain(res)
		if err != nil {
			return fmt.Errorf("evaluate %s: %w", task.Name(), err)
		}
		err = r.event(record.Evaluation{
			At: t.at(), When: when, Set: task.Name(), Result: plain, Seconds: time.Since(start).Seconds(),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// end runs all of every task and exports the model.
func (r *Run) end(ctx context.Context, t *Trainer) error {
	if err := r.evaluateAll(ctx, t, "end", 0); err != nil {
		if ctx.Err() != nil {
			if t.step == 0 {
				return fmt.Errorf("%w before the first step", ErrStopped)
			}
			return fmt.Errorf("%w; the last step, %d, is saved", ErrStopped, t.step)
		}
		return err
	}
	if r.Export != nil {
		t.freeState()
		d, err := checkpoint.Begin(r.Folder.Dir, record.FinalDir)
		if err != nil {
			return err
		}
		if err := r.Export(t, d); err != nil {
			d.Abort()
			return err
		}
		if err := d.Commit(); err != nil {
			return err
		}
	}
	return r.event(record.End{At: t.at(), Checkpoint: record.FinalDir})
}
