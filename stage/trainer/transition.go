package trainer

import (
	"fmt"

	"steplm/stage/recipe"
	"steplm/stage/record"
)

// Due reports whether the next step belongs to the next stage.
func (t *Trainer) Due() bool {
	stage, _ := t.Recipe.StageOf(t.step)
	return stage != t.stage && t.step < t.Recipe.Steps()
}

// Entry is the transition into the next stage.
func (t *Trainer) Entry() recipe.Transition { return t.Recipe.Stages[t.stage+1].Entry }

// Grows reports whether the model of the next stage has more blocks.
func (t *Trainer) Grows() bool { return len(t.layouts[t.stage+1].Blocks) > len(t.layout().Blocks) }

// Advance enters the next stage.
func (t *Trainer) Advance() (record.Transition, error) {
	before := t.layout()
	tr, err := t.Recipe.Effect(before, t.Entry().Verbs)
	if err != nil {
		return record.Transition{}, err
	}
	failed := func(err error) error {
		return fmt.Errorf("transition from %d to %d layers: %w", len(before.Blocks), len(tr.After.Blocks), err)
	}
	resetPeaks(t.dev)
	t.freeActivations()
	if err := execute(t.Model, t.opt, tr, t.Recipe.Seed+uint64(t.stage)+1); err != nil {
		return record.Transition{}, failed(err)
	}
	if t.outer != nil {
		t.outer.Reset(anew(tr))
	}
	t.stage++
	if err := t.allocateState(); err != nil {
		return record.Transition{}, failed(err)
	}
	if err := t.asPlanned(); err != nil {
		return record.Transition{}, err
	}
	e := record.Transition{
		At:   t.At(),
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
