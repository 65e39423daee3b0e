package trainer

import (
	"context"
	"fmt"

	"steplm/data"
	"steplm/gpu"
	"steplm/gpu/memory"
	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/eval"
	"steplm/stage/outer"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/reduce"
)

// Batches is where training gets its micro-batches from.
type Batches interface {
	Next(context.Context) (data.Batch, error)
	// Skip is Next of a batch that another process takes.
	Skip(context.Context) error
	Cursor() data.Cursor
	Seek(data.Cursor) error
}

// Trainer holds what trains in one stage and runs its steps.
type Trainer struct {
	Recipe   recipe.Recipe
	Model    *model.Model
	dev      gpu.Device
	reducer  *reduce.Reducer // of the processes of the run; nil: it is the only one
	layouts  []model.Layout  // of all stages
	schedule optim.Schedule
	batches  *prefetch
	acts     *model.Activations // nil: they are freed, for a while
	opt      optim.Optimizer
	outer    *outer.State // nil: the run has no rounds

	stage   int   // 0-based
	step    int   // optimizer steps done
	padding int64 // of the rows that all steps' windows have, those that were no tokens, of all processes
}

// New allocates stage 1 and initialises it from the recipe's seed.
func New(dev gpu.Device, r recipe.Recipe, b Batches) (*Trainer, error) {
	return NewAt(dev, r, b, 0)
}

// NewAt allocates a stage, counted from 0, as if those before it had run, but with
// fresh weights: its steps cost what they would after a growth, and teach nothing.
func NewAt(dev gpu.Device, r recipe.Recipe, b Batches, stage int) (*Trainer, error) {
	t, err := allocate(dev, r, b, stage)
	if err != nil {
		return nil, err
	}
	for _, s := range r.Stages[:stage] {
		t.step += s.Steps
	}
	// Weights that are kept in int8 cannot be drawn; they stay zero.
	drawn := func(p *model.Param) bool { return p.Weight.DType != gpu.I8 }
	if err := t.Model.Init(r.Seed, drawn); err != nil {
		t.Free()
		return nil, err
	}
	return t, nil
}

// NewFrom allocates stage 1 of a recipe that begins with a model, and fills it from that model's weights, as the
// stage's entry says. The optimizer begins without state.
func NewFrom(dev gpu.Device, r recipe.Recipe, b Batches, w model.Weights) (*Trainer, error) {
	t, err := prepare(dev, r, b, 0)
	if err != nil {
		return nil, err
	}
	begins, err := r.Begin()
	if err != nil {
		return nil, err
	}
	if t.Model, err = model.New(dev, begins.Stripped()); err == nil {
		err = t.Model.Read(w)
	}
	if err == nil {
		err = execute(t.Model, t.opt, begins, r.Seed)
	}
	if err == nil {
		err = t.allocateState()
	}
	if err == nil {
		err = t.asPlanned()
	}
	if err != nil {
		t.Free()
		return nil, err
	}
	return t, nil
}

// NewJoined allocates the stage in which a process joins a run, and takes the state there.
func NewJoined(dev gpu.Device, r recipe.Recipe, b Batches, j outer.Joined) (*Trainer, error) {
	if j.Stage < 0 || j.Stage >= len(r.Stages) || j.Step < 0 || j.Step > r.Steps() {
		return nil, fmt.Errorf("the run is in stage %d at step %d, and has %d stages and %d steps", j.Stage+1, j.Step,
			len(r.Stages), r.Steps())
	}
	t, err := allocate(dev, r, b, j.Stage)
	if err != nil {
		return nil, err
	}
	t.step = j.Step
	if err := t.outer.Restore(j.Snapshot, j.Step); err != nil {
		t.Free()
		return nil, err
	}
	return t, nil
}

// allocate makes the tensors of a stage, all zero.
func allocate(dev gpu.Device, r recipe.Recipe, b Batches, stage int) (*Trainer, error) {
	t, err := prepare(dev, r, b, stage)
	if err != nil {
		return nil, err
	}
	if t.Model, err = model.New(dev, t.layout()); err != nil {
		return nil, err
	}
	if err := t.allocateState(); err != nil {
		t.Free()
		return nil, err
	}
	return t, nil
}

// prepare is a trainer of a stage without tensors, for which there is room.
func prepare(dev gpu.Device, r recipe.Recipe, b Batches, stage int) (*Trainer, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	layouts, err := r.Layouts()
	if err != nil {
		return nil, err
	}
	t := &Trainer{
		Recipe: r, dev: dev, layouts: layouts, schedule: r.Schedule(), batches: &prefetch{from: b, n: r.GradAccum},
		opt: r.Optimizer.New(), stage: stage,
	}
	if r.Outer != nil {
		t.outer = outer.New(*r.Outer)
	}
	resetPeaks(dev)
	if err := CheckFits(dev, r); err != nil {
		return nil, err
	}
	return t, nil
}

// Join makes the trainer one of the processes of a run: of each step's micro-batches it takes its share.
func (t *Trainer) Join(r *reduce.Reducer) error {
	if r.Size() > t.Recipe.GradAccum {
		return fmt.Errorf("a step of this run has %d micro-batches, of which %d processes would have one each "+
			"at least: start at most %d", t.Recipe.GradAccum, r.Size(), t.Recipe.GradAccum)
	}
	t.reducer, t.batches.rank, t.batches.size = r, r.Rank(), r.Size()
	return nil
}

func (t *Trainer) layout() model.Layout { return t.layouts[t.stage] }

// allocateState makes what the stage has besides the model.
func (t *Trainer) allocateState() error {
	if err := t.opt.Allocate(t.Model); err != nil {
		return err
	}
	if t.outer != nil {
		if err := t.outer.Allocate(t.Model); err != nil {
			return err
		}
	}
	return t.needActivations()
}

// needActivations allocates the activations where there are none.
func (t *Trainer) needActivations() (err error) {
	if t.acts == nil {
		t.acts, err = model.NewActivations(t.dev, t.layout(), t.Recipe.Batch)
	}
	return err
}

// freeActivations makes room, until they are needed again.
func (t *Trainer) freeActivations() {
	if t.acts != nil {
		t.acts.Free()
		t.acts = nil
	}
}

// EndTraining frees what only steps need, and leaves the model.
func (t *Trainer) EndTraining() {
	t.opt.Free()
	if t.outer != nil {
		t.outer.Free()
	}
	t.freeActivations()
}

// Free releases everything on the device.
func (t *Trainer) Free() {
	t.EndTraining()
	if t.Model != nil {
		t.Model.Free()
	}
}

// Stage is the one that it is in, counted from 0.
func (t *Trainer) Stage() int { return t.stage }

// Done is how many optimizer steps are.
func (t *Trainer) Done() int { return t.step }

// At is the moment that it is at, with the peaks since the stage began.
func (t *Trainer) At() record.At {
	process, _ := memory.ProcessPeak()
	peaks := record.Peaks{PeakBytes: t.dev.Ledger().Peak(), ProcessPeak: process}
	return record.At{Step: t.step, Stage: t.stage + 1, Peaks: peaks}
}

// resetPeaks begins new ones, of the device's bytes and, where the system has that, of the process's.
func resetPeaks(dev gpu.Device) {
	dev.Ledger().ResetPeak()
	_ = memory.ResetProcessPeak() // where it cannot be reset it stays an upper bound
}

// Cursor is where the next step begins in the data.
func (t *Trainer) Cursor() data.Cursor { return t.batches.Cursor() }

// Scored is the model as evaluations ask it, in the trainer's own buffers.
func (t *Trainer) Scored() (eval.Model, error) {
	if err := t.needActivations(); err != nil {
		return nil, err
	}
	return eval.OnDevice(t.Model, t.acts), nil
}

// Outer is what the outer optimizer keeps; nil: the run has no rounds.
func (t *Trainer) Outer() *outer.State { return t.outer }

// Wait has the first round begin no earlier than it is to.
func (t *Trainer) Wait() {
	if t.outer != nil && t.step <= t.Recipe.Outer.Start && t.outer.Done() < t.Recipe.Outer.Start {
		t.outer.Wait(t.step)
	}
}

// GoTo says that the model is now what so many steps make of it, as it is after a round with others.
func (t *Trainer) GoTo(step int) { t.step = step }
