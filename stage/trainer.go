package stage

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"steplm/data"
	"steplm/gpu"
	"steplm/gpu/memory"
	"steplm/model"
	"steplm/model/generate"
	"steplm/model/optim"
	"steplm/stage/outer"
	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/samples"
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
	reducer  *reduce.Reducer // of the processes of the run; nil: it is the only one
	dev      gpu.Device
	layouts  []model.Layout
	schedule optim.Schedule
	batches  *prefetch

	Model   *model.Model
	acts    *model.Activations
	opt     optim.Optimizer
	outer   *outer.State // nil: the run has no rounds
	begun   bool         // a round with others
	cut     bool         // the others wait no longer for this process's steps of it
	hash    string       // of the recipe, which checkpoints name
	stage   int
	step    int     // optimizer steps done
	padding int64   // of the rows that all steps' windows have, those that were no tokens, of all processes
	watched watched // of the guard, if there is one
	best    best    // of a run with patience
}

// peaksOf reads the peaks since resetPeaks.
func peaksOf(dev gpu.Device) record.Peaks {
	process, _ := memory.ProcessPeak()
	return record.Peaks{PeakBytes: dev.Ledger().Peak(), ProcessPeak: process}
}

// resetPeaks begins new ones, of the device's bytes and, where the system has
// that, of the process's.
func resetPeaks(dev gpu.Device) {
	dev.Ledger().ResetPeak()
	_ = memory.ResetProcessPeak() // where it cannot be reset it stays an upper bound
}

// NewTrainer allocates stage 1 and initialises it from the recipe's seed.
func NewTrainer(dev gpu.Device, r recipe.Recipe, b Batches) (*Trainer, error) {
	return NewTrainerAt(dev, r, b, 0)
}

// NewTrainerAt allocates a stage, counted from 0, as if those before it had run, but with
// fresh weights: its steps cost what they would after a growth, and teach nothing.
func NewTrainerAt(dev gpu.Device, r recipe.Recipe, b Batches, stage int) (*Trainer, error) {
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

// NewTrainerFrom allocates stage 1 of a recipe that begins with a model, and fills it from that model's weights, as the
// stage's entry says. The optimizer begins without state.
func NewTrainerFrom(dev gpu.Device, r recipe.Recipe, b Batches, w model.Weights) (*Trainer, error) {
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

// newTrainerJoined allocates the stage in which a process joins a run, and takes the state there.
func newTrainerJoined(dev gpu.Device, r recipe.Recipe, b Batches, j outer.Joined) (*Trainer, error) {
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
		opt: r.Optimizer.New(), hash: r.Hash(), stage: stage,
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

// CheckFits compares every stage's plan with the memory there is, before
// anything is allocated: a run must not die at its last growth.
func CheckFits(dev gpu.Device, r recipe.Recipe) error {
	layouts, err := r.Layouts()
	if err != nil {
		return err
	}
	if r.Init != nil {
		begins, err := r.Begin()
		if err != nil {
			return err
		}
		for _, l := range append(begins.Filling(), begins.Stripped()) {
			if err := gpu.CheckFits(dev, gpu.Plan(dev.Own(), l.Specs())); err != nil {
				return fmt.Errorf("the model that the run begins with: %w", err)
			}
		}
	}
	for i, l := range layouts {
		if err := gpu.CheckFits(dev, gpu.Plan(dev.Own(), r.Specs(l), r.OuterSpecs(l))); err != nil {
			return fmt.Errorf("stage %d of %d: %w", i+1, len(layouts), err)
		}
	}
	return nil
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

func (t *Trainer) allocateState() (err error) {
	if err := t.opt.Allocate(t.Model); err != nil {
		return err
	}
	if t.outer != nil {
		if err := t.outer.Allocate(t.Model); err != nil {
			return err
		}
	}
	t.acts, err = model.NewActivations(t.dev, t.layout(), t.Recipe.Batch)
	return err
}

// needActivations allocates the activations anew where they were freed.
func (t *Trainer) needActivations() (err error) {
	if t.acts == nil {
		t.acts, err = model.NewActivations(t.dev, t.layout(), t.Recipe.Batch)
	}
	return err
}

func (t *Trainer) freeState() {
	t.opt.Free()
	if t.outer != nil {
		t.outer.Free()
	}
	if t.acts != nil {
		t.acts.Free()
		t.acts = nil
	}
}

// Free releases everything on the device.
func (t *Trainer) Free() {
	t.freeState()
	if t.Model != nil {
		t.Model.Free()
	}
}

// Due reports whether the next step belongs to the next stage.
func (t *Trainer) Due() bool {
	stage, _ := t.Recipe.StageOf(t.step)
	return stage != t.stage && t.step < t.Recipe.Steps()
}

// CheckSamples is an error where samples would take more than a stage's activations, in whose place they are drawn.
func CheckSamples(r recipe.Recipe, p samples.Plan) error {
	if len(p.Prompts) == 0 {
		return nil
	}
	layouts, err := r.Layouts()
	if err != nil {
		return err
	}
	for i, l := range layouts {
		if _, err := samplesIn(r, l, p); err != nil {
			return fmt.Errorf("stage %d of %d: %w", i+1, len(layouts), err)
		}
	}
	return nil
}

// samplesIn is what draws samples in the place of a layout's activations.
func samplesIn(r recipe.Recipe, l model.Layout, p samples.Plan) (generate.Config, error) {
	return p.Config(l, gpu.Plan(model.ActivationSpecs(l, r.Batch)).Total())
}

// Sample has the model continue prompts. For that time the activations are gone.
func (t *Trainer) Sample(ctx context.Context, p samples.Plan) (list []record.Sample, err error) {
	if err := t.needActivations(); err != nil {
		return nil, err
	}
	before := t.dev.Ledger().ByClass()
	c, err := samplesIn(t.Recipe, t.layout(), p)
	if err != nil {
		return nil, err
	}
	specs, err := generate.Specs(t.layout(), c)
	if err != nil {
		return nil, err
	}
	t.acts.Free()
	t.acts = nil
	list, err = t.draw(ctx, p, c, specs)
	if again := t.needActivations(); again != nil {
		return nil, errors.Join(err, again)
	}
	if after := t.dev.Ledger().ByClass(); !maps.Equal(after, before) {
		err = errors.Join(err, fmt.Errorf("the device holds other bytes after samples than before: %v, and %v", after,
			before))
	}
	return list, err
}

// draw is Sample while there are no activations.
func (t *Trainer) draw(ctx context.Context, p samples.Plan, c generate.Config, specs []gpu.Spec) ([]record.Sample,
	error) {
	before := t.dev.Ledger().Total()
	g, err := generate.New(t.Model, c)
	if err != nil {
		return nil, err
	}
	defer g.Free()
	if got, want := t.dev.Ledger().Total()-before, gpu.Plan(specs).Total(); got != want {
		return nil, fmt.Errorf("samples take %d bytes on the device, planned were %d", got, want)
	}
	return p.Draw(ctx, g)
}

// asPlanned is an error unless the device holds what the stage's plan says, to the byte.
func (t *Trainer) asPlanned() error {
	want := gpu.Plan(t.dev.Own(), t.Recipe.Specs(t.layout()))
	if d := t.dev.Ledger().Difference(want); d != "" {
		return fmt.Errorf("stage %d: the device holds other bytes than planned: %s", t.stage+1, d)
	}
	if t.outer != nil {
		if d := t.outer.Home().Ledger().Difference(gpu.Plan(t.Recipe.OuterSpecs(t.layout()))); d != "" {
			return fmt.Errorf("stage %d: the outer optimizer holds other bytes than planned: %s", t.stage+1, d)
		}
	}
	return nil
}

// entry is the transition into the next stage.
func (t *Trainer) entry() recipe.Transition { return t.Recipe.Stages[t.stage+1].Entry }

// Advance enters the next stage.
func (t *Trainer) Advance() (record.Transition, error) {
	before := t.layout()
	tr, err := t.Recipe.Effect(before, t.entry().Verbs)
	if err != nil {
		return record.Transition{}, err
	}
	failed := func(err error) error {
		return fmt.Errorf("transition from %d to %d layers: %w", len(before.Blocks), len(tr.After.Blocks), err)
	}
	resetPeaks(t.dev)
	t.acts.Free()
	t.acts = nil
	if err := execute(t.Model, t.opt, tr, t.Recipe.Seed+uint64(t.stage)+1); err != nil {
		return record.Transition{}, failed(err)
	}
	if t.outer != nil {
		t.outer.Reset(anew(tr))
	}
	t.stage++
	t.watched.Losses, t.watched.Norms = nil, nil // a growth's loss is no spike
	if err := t.allocateState(); err != nil {
		return record.Transition{}, failed(err)
	}
	if err := t.asPlanned(); err != nil {
		return record.Transition{}, err
	}
	e := record.Transition{
		At:   record.At{Step: t.step, Stage: t.stage + 1, Peaks: peaksOf(t.dev)},
		From: len(before.Blocks), To: len(tr.After.Blocks), Note: tr.Growth.Note,
	}
	resetPeaks(t.dev) // from here on they are the new stage's
	for i, o := range tr.Growth.Origins {
		if o.New {
			e.New = append(e.New, i)
		}
	}
	e.Trainable, e.Frozen = t.layout().Count()
	return e, nil
}
