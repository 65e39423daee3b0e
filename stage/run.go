package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"steplm/data"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/stage/eval"
	"steplm/stage/outer"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/samples"
)

// Run is a training run: a recipe, what it reads, and where it is kept.
type Run struct {
	Recipe     recipe.Recipe
	Device     gpu.Device
	Batches    Batches
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
	// leads saves, logs and evaluates.
	Reducer *reduce.Reducer
	// Peers are the processes with which the run's rounds are made; nil: it is the only one.
	Peers  outer.Peers
	Report Report
	// Weights opens those that the recipe's Init is of; nil: there is none.
	Weights func() (model.Weights, io.Closer, error)
	// Export writes the trained model, adapters merged, into a directory.
	Export func(t *Trainer, dir *checkpoint.Dir) error

	// Trained is the checkpoint whose model is the trained one, once the run is over.
	Trained string

	known      []string          // checkpoints that this process made or that lead to where it went on, oldest first
	began      data.Cursor       // of the batches before the first step
	rolledBack []record.Rollback // since the last save

	spared string // the best model's checkpoint, of a run with patience
	paced  int    // the stage, from 1, in which a step was taken

	left bool // another process of a group was told to stop

	unnamed string   // the last checkpoint, if LATEST could not be pointed at it
	warned  []string // what Warn heard
	// unpruned says that something old could not be removed.
	unpruned bool
}

// Report hears what happens; nil functions are not called.
type Report struct {
	Step  func(record.Metrics)
	Event func(record.Event) // that is no step
	// Evaluating hears how many tokens of a task are scored, of how many about; 0: that is not known.
	Evaluating func(task string, tokens, total int64)
	Sampling   func() // hears that samples are drawn next
	// Compiling hears which of a stage's kernels is compiled next; it is done when i is n.
	Compiling func(i, n int, kernel string)
	// Exported hears where the trained model was written, before it is measured.
	Exported func(dir string)
	// Warn hears, once, of what the system refused or what is not as it should be, and the run goes on without.
	Warn func(text string)
}

// ErrStopped is returned when the context ended the run after its last step was saved, or before its first.
var ErrStopped = errors.New("stopped")

// Start begins the run from its seed, or from the model that its recipe begins with.
func (r *Run) Start(ctx context.Context) error {
	t, err := r.join(ctx)
	if t == nil && err == nil {
		t, err = r.begin()
	}
	if err != nil {
		return err
	}
	defer t.Free()
	t.hash = r.Folder.hash
	if err := t.Join(r.Reducer); err != nil {
		return err
	}
	return r.train(ctx, t)
}

// join is the trainer at where a process joins a run; nil: it joins none.
func (r *Run) join(ctx context.Context) (*Trainer, error) {
	if r.Peers == nil {
		return nil, nil
	}
	j, err := r.Peers.Join(ctx)
	if errors.Is(err, outer.ErrLeft) {
		err = fmt.Errorf("%w before the first step: %w", ErrStopped, err)
	}
	if err != nil || j == nil {
		return nil, err
	}
	return newTrainerJoined(r.Device, r.Recipe, r.Batches, *j)
}

// rejoin is a trainer at where the others of a run are that this process had lost, in the place of its own.
func (r *Run) rejoin(ctx context.Context, t *Trainer, j outer.Joined) (*Trainer, error) {
	t.Free()
	back, err := newTrainerJoined(r.Device, r.Recipe, r.Batches, j)
	if err != nil {
		return nil, err
	}
	back.hash = r.Folder.hash
	return back, r.compile(ctx, back)
}

// begin is the trainer before the first step.
func (r *Run) begin() (*Trainer, error) {
	if r.Recipe.Init == nil {
		return NewTrainer(r.Device, r.Recipe, r.Batches)
	}
	weights, files, err := r.Weights()
	if err != nil {
		return nil, err
	}
	defer files.Close()
	return NewTrainerFrom(r.Device, r.Recipe, r.Batches, weights)
}

// Resume continues the run from its last checkpoint, or from its seed when it
// has none. A run that
// is over evaluates and exports once more.
func (r *Run) Resume(ctx context.Context) error {
	name, note, err := r.lastCheckpoint()
	if err != nil {
		return err
	}
	if name == "" {
		if err := r.openMetrics(0); err != nil {
			return err
		}
		return r.Start(ctx)
	}
	r.warn("%s", note)
	at := filepath.Join(r.Folder.Checkpoints(), name)
	t, metrics, err := loadTrainer(r.Device, r.Recipe, r.Folder.hash, r.Batches, at)
	if err != nil {
		return fmt.Errorf("%w (to go on from an older one, write its name, such as step-100, into %s)", err,
			filepath.Join(r.Folder.Checkpoints(), "LATEST"))
	}
	defer t.Free()
	if err := t.Join(r.Reducer); err != nil {
		return err
	}
	r.known = r.history(name)
	if err := r.openMetrics(metrics); err != nil {
		return err
	}
	if err := r.event(record.Resume{At: t.at(), Checkpoint: name, Device: r.Device.Name()}); err != nil {
		return err
	}
	return r.train(ctx, t)
}

// lastCheckpoint is the one that all processes go on from; "": there is none.
func (r *Run) lastCheckpoint() (name, note string, err error) {
	name, note, err = record.LastCheckpoint(r.Folder.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		name, err = "", nil
	}
	if err == nil {
		err = r.Reducer.Agree([]reduce.Fact{{Name: "last checkpoint in " + r.Folder.Dir, Value: name}})
	}
	return name, note, err
}

// openMetrics opens them, if this process writes any, cut to a length.
func (r *Run) openMetrics(size int64) error {
	if !r.Reducer.Leads() {
		return nil
	}
	note, err := r.Folder.OpenMetrics(size)
	if err == nil {
		r.warn("%s", note)
	}
	return err
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

// nameOf is the name of the run's checkpoint after a step.
func (r *Run) nameOf(step int) string {
	if step == r.Recipe.DecayFrom() && step > 0 {
		return record.StableCheckpoint(step)
	}
	return checkpointName(step)
}

// checkpointName is the name of the checkpoint after a step.
func checkpointName(step int) string { return fmt.Sprintf("step-%d", step) }

// ErrDiverged is a run whose loss or gradient norm is no number.
var ErrDiverged = errors.New("the training has diverged")

// failed writes down that the run ended in an error after its first step, unless it was told to stop.
func (r *Run) failed(at record.At, err error) error {
	if err == nil || at.Step == 0 || errors.Is(err, ErrStopped) || errors.Is(err, context.Canceled) {
		return err
	}
	var spike *Spike
	diverged := errors.Is(err, ErrDiverged) || errors.Is(err, eval.ErrNotFinite) || errors.As(err, &spike)
	if r.Folder.Metrics == nil {
		return err
	}
	r.event(record.Failure{At: at, Error: err.Error(), Diverged: diverged}) // What cannot be written is told anyway.
	return err
}

// train asks the controller what to do next until the run is over.
func (r *Run) train(ctx context.Context, t *Trainer) (err error) {
	if err := r.Folder.NoLock; err != nil {
		r.warn("nothing keeps another process out of %s: %v", r.Folder.Dir, err)
	}
	// A resumed run is saved already; a new one has nothing to lose. What followed
	// the last step's line in the metrics was cut off and is done again.
	d := done{t.step, -1, -1}
	r.spare(t)
	if t.step == 0 {
		r.began = t.batches.Cursor()
	}
	defer func() { // the one that runs in the end
		err = r.failed(t.at(), err)
		t.Free()
	}()
	if err := r.compile(ctx, t); err != nil {
		return err
	}
	if err := r.agree(t); err != nil {
		return err
	}
	for {
		if stop, err := r.told(ctx); err != nil {
			return err
		} else if stop {
			if d.saved != t.step {
				err = r.save(t)
			}
			return cmp.Or(err, r.stopped(t))
		}
		var err error
		switch r.next(t, d) {
		case actRound:
			err = r.endRound(ctx, t)
			d.saved = -1 // A resume may have found the last step saved without it.
		case actSave:
			err = r.save(t)
			d.saved = t.step
		case actSample:
			err = r.sample(ctx, t, "")
			d.sampled = t.step
		case actEvaluate:
			err = r.evaluate(ctx, t, "every")
			d.evaluated = t.step
		case actAdvance:
			if t.entry().Evaluate {
				d.evaluated = t.step
			}
			err = r.advance(ctx, t)
		case actStep:
			if err = r.beginRound(ctx, t); err == nil {
				err = r.step(ctx, t)
			}
			if spike := (*Spike)(nil); errors.As(err, &spike) {
				var back *Trainer
				if back, err = r.rollback(t, spike); back != nil {
					t, d = back, done{back.step, -1, -1}
				}
			}
		case actEnd:
			return r.end(ctx, t)
		}
		if again := (*outer.Rejoined)(nil); errors.As(err, &again) {
			var back *Trainer
			if back, err = r.rejoin(ctx, t, again.Joined); back != nil {
				t, d = back, done{back.step, -1, -1}
			}
		}
		if errors.Is(err, outer.ErrLeft) {
			r.left, err = true, nil
		}
		if errors.Is(err, outer.ErrLost) && d.saved != t.step && t.step > 0 {
			err = errors.Join(err, r.save(t))
		}
		if err != nil && !(ctx.Err() != nil && errors.Is(err, ctx.Err())) {
			return err
		}
	}
}

// step takes one, and writes down what became of it.
func (r *Run) step(ctx context.Context, t *Trainer) error {
	r.setPace(r.pace(t))
	defer r.setPace(reduce.AnyTime)
	// A step is not cut short: the cursor must stand between steps.
	m, err := t.Step(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	r.stepped(t)
	if !r.Reducer.Leads() {
		return nil
	}
	err = errors.Join(r.Folder.Metrics.Write(m), r.Folder.Metrics.Keep())
	if err == nil && r.Report.Step != nil {
		r.Report.Step(m)
	}
	return err
}

// setPace tells who keeps a watch over the processes of the run what this one does next.
func (r *Run) setPace(p reduce.Pace) {
	r.Reducer.SetPace(p)
	if g, ok := r.Peers.(interface{ SetPace(reduce.Pace) }); ok {
		g.SetPace(p)
	}
}

// pace is how long the next step may take: the first one in a stage compiles, and the next are judged by it.
func (r *Run) pace(t *Trainer) reduce.Pace {
	if r.paced != t.stage+1 {
		r.paced = t.stage + 1
		return reduce.Measured
	}
	return reduce.Judged
}

// told reports whether any process of the run was told to stop.
func (r *Run) told(ctx context.Context) (bool, error) {
	counts := []int64{0}
	if ctx.Err() != nil || r.left {
		counts[0] = 1
	}
	err := r.Reducer.Sum(counts)
	return counts[0] > 0, err
}

// stopped ends a run that was told to stop: its last checkpoint must be the one that a resume finds.
func (r *Run) stopped(t *Trainer) error {
	if t.step == 0 {
		return fmt.Errorf("%w before the first step", ErrStopped)
	}
	if r.unnamed != "" {
		if err := checkpoint.SetLatest(r.Folder.Checkpoints(), r.unnamed); err != nil {
			return fmt.Errorf("stopped; the last step is saved as %s, but not for a resume: %w", r.unnamed, err)
		}
	}
	return fmt.Errorf("%w; the last step, %d, is saved", ErrStopped, t.step)
}

// warn tells of what the system refused or what is not as it should be, unless it was told already; "" is nothing.
func (r *Run) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if text == "" {
		return
	}
	if r.Report.Warn != nil && !slices.Contains(r.warned, text) {
		r.Report.Warn(text)
	}
	r.warned = append(r.warned, text)
}

// at is the moment that the trainer is at.
func (t *Trainer) at() record.At {
	return record.At{Step: t.step, Stage: t.stage + 1, Peaks: peaksOf(t.dev)}
}

// event writes one down and tells of it, if this process leads.
func (r *Run) event(e record.Event) error {
	if !r.Reducer.Leads() {
		return nil
	}
	if err := r.Folder.Metrics.Write(e); err != nil {
		return err
	}
	if r.Report.Event != nil {
		r.Report.Event(e)
	}
	return nil
}

// save writes a checkpoint, if this process leads, then prunes the old ones.
func (r *Run) save(t *Trainer) error {
	if err := r.agree(t); err != nil || !r.Reducer.Leads() {
		return err
	}
	start := time.Now()
	name := r.nameOf(t.step)
	r.rolledBack = nil
	n, err := r.Folder.Metrics.Kept()
	if err != nil {
		return err
	}
	err = t.Save(r.Folder.Checkpoints(), name, n)
	r.unnamed = ""
	if errors.Is(err, checkpoint.ErrNotReplaced) {
		r.unnamed = name
		r.warn("%v: until a later save a resume goes on from there", err)
	} else if err != nil {
		return err
	}
	if name == checkpointName(t.step) { // the one before a decay stays
		r.known = append(slices.DeleteFunc(r.known, func(k string) bool { return k == name }), name)
	}
	r.spare(t)
	r.prune()
	return r.event(record.Checkpoint{At: t.at(), Checkpoint: name, Seconds: time.Since(start).Seconds()})
}

// spare keeps the best model's checkpoint from being removed, if a best one is wanted.
func (r *Run) spare(t *Trainer) {
	if t.best.Step > 0 {
		r.spared = r.nameOf(t.best.Step)
	}
}

// prune removes old checkpoints. What the system does not let go now, since a virus scanner reads it, say, goes with a
// later save or at the run's end, or is cleaned away by a resume: never is it the end of a run.
func (r *Run) prune() {
	old := slices.DeleteFunc(slices.Clone(r.known), func(name string) bool { return name == r.spared })
	_, err := checkpoint.Prune(r.Folder.Checkpoints(), old, r.Keep)
	if r.unpruned = err != nil; r.unpruned {
		r.warn("old checkpoints take room until they can be removed: %v", err)
	}
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
		if err := r.evaluate(ctx, t, "before "+kind); err != nil && ctx.Err() == nil {
			return err
		}
	}
	// What one process was told during that, all hear before the model changes.
	if stop, err := r.told(ctx); stop || err != nil {
		return err
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
	if r.Reducer.Leads() {
		if err := r.Folder.Metrics.Keep(); err != nil {
			return err
		}
	}
	if err := r.compile(ctx, t); err != nil {
		return err
	}
	if err := r.agree(t); err != nil {
		return err
	}
	if entry.Evaluate {
		return r.evaluate(ctx, t, "after "+kind)
	}
	return nil
}

// compile has the device compile what a step of the stage calls, so that nobody waits for a first step of which
// nothing is heard.
func (r *Run) compile(ctx context.Context, t *Trainer) error {
	if r.Report.Compiling == nil {
		return nil
	}
	calls, err := Calls(r.Device, r.Recipe, t.stage)
	if err != nil {
		return err
	}
	var kernels []*gpu.Kernel
	for _, c := range calls {
		if !slices.Contains(kernels, c.Kernel) {
			kernels = append(kernels, c.Kernel)
		}
	}
	for i, k := range kernels {
		if ctx.Err() != nil {
			return nil // The loop saves and stops.
		}
		r.Report.Compiling(i, len(kernels), k.Name)
		if err := gpu.Compile(r.Device, k); err != nil {
			return err
		}
	}
	r.Report.Compiling(len(kernels), len(kernels), "")
	return nil
}

// evaluate scores the first EvalTokens of every task in the trainer's own
// buffers.
func (r *Run) evaluate(ctx context.Context, t *Trainer, when string) error {
	if r.EvalTokens == 0 || !r.Reducer.Leads() {
		return nil
	}
	results, err := r.evaluateAll(ctx, t, when, r.EvalTokens)
	if err == nil && r.Patience > 0 {
		t.best.judge(t.step, results)
	}
	return err
}

func (r *Run) evaluateAll(ctx context.Context, t *Trainer, when string, tokens int64) (all []eval.Result, err error) {
	if err := t.needActivations(); err != nil {
		return nil, err
	}
	for _, task := range r.Tasks {
		start := time.Now()
		o := eval.Options{MaxTokens: tokens}
		if r.Report.Evaluating != nil {
			o.Progress = func(n int64, share float64) {
				r.Report.Evaluating(task.Name(), n, o.Whole(n, share))
			}
			r.Report.Evaluating(task.Name(), 0, 0)
		}
		res, err := task.Run(ctx, eval.OnDevice(t.Model, t.acts), o)
		if err != nil {
			return nil, fmt.Errorf("evaluate %s: %w", task.Name(), err)
		}
		plain, err := record.Plain(res)
		if err != nil {
			return nil, fmt.Errorf("evaluate %s: %w", task.Name(), err)
		}
		err = r.event(record.Evaluation{
			At: t.at(), When: when, Set: task.Name(), Result: plain, Seconds: time.Since(start).Seconds(),
		})
		if err != nil {
			return nil, err
		}
		all = append(all, res)
	}
	if r.Samples.Evaluations {
		err = r.sample(ctx, t, when)
	}
	return all, err
}

// sample has the model continue its prompts, in the place of the activations. A model that cannot be heard, since its
// numbers are none, goes on training: the next step judges it.
func (r *Run) sample(ctx context.Context, t *Trainer, when string) error {
	if !r.Reducer.Leads() {
		return nil
	}
	start := time.Now()
	if r.Report.Sampling != nil {
		r.Report.Sampling()
	}
	list, err := t.Sample(ctx, r.Samples)
	var failed *samples.Failed
	if errors.As(err, &failed) {
		r.warn("there are no samples after step %d: %v", t.step, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("samples after step %d: %w", t.step, err)
	}
	return r.event(record.Samples{At: t.at(), When: when, Samples: list, Seconds: time.Since(start).Seconds()})
}

// end exports the model, and only then measures it: an end to that loses nothing. A process that does not lead has
// done its work.
func (r *Run) end(ctx context.Context, t *Trainer) error {
	if !r.Reducer.Leads() {
		return nil
	}
	if r.Export != nil {
		t.freeState()
		if err := r.takeBest(t); err != nil {
			return err
		}
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
		if r.Report.Exported != nil {
			r.Report.Exported(record.FinalDir)
		}
	}
	if r.FinalEvalTokens > 0 {
		_, err := r.evaluateAll(ctx, t, "end", r.FinalEvalTokens)
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("%w, the trained model is in %s, its evaluation is not done", r.stopped(t),
				filepath.Join(r.Folder.Dir, record.FinalDir))
		case err != nil:
			return err
		}
	}
	if r.unpruned {
		r.prune()
	}
	e := record.End{At: t.at()}
	if r.Export != nil {
		e.Checkpoint = record.FinalDir
	}
	return r.event(e)
}
