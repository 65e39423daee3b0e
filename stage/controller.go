package stage

import (
	"fmt"
	"slices"

	"steplm/stage/eval"
	"steplm/stage/record"
)

// action is what the controller decides.
type action int

const (
	actStep action = iota
	actSave
	actEvaluate
	actAdvance
	actEnd
)

// next decides from what is done alone, so that a resumed run decides the same:
// saved and evaluated are the steps after which that was last done. Saving comes
// before everything that may fail: before evaluating, before a transition,
// before the end.
func (r *Run) next(t *Trainer, saved, evaluated int) action {
	switch {
	case saved != t.step && r.saveDue(t):
		return actSave
	case r.Patience > 0 && evaluated != t.step && (r.evalDue(t) || t.step >= r.Recipe.Steps()):
		return actEvaluate // before the end, which it may be
	case t.step >= r.Recipe.Steps() || r.Patience > 0 && t.best.Since >= r.Patience:
		return actEnd
	case t.Due():
		return actAdvance
	case evaluated != t.step && r.evalDue(t):
		return actEvaluate
	}
	return actStep
}

func (r *Run) saveDue(t *Trainer) bool {
	return t.Due() && t.entry().Save || t.step >= r.Recipe.Steps() ||
		t.step > 0 && t.step == r.Recipe.DecayFrom() || (r.SaveEvery > 0 && t.step%r.SaveEvery == 0) ||
		r.Patience > 0 && r.evalDue(t)
}

// evalDue: around a transition that evaluates and at the end other evaluations take its place.
func (r *Run) evalDue(t *Trainer) bool {
	return r.EvalEvery > 0 && t.step > 0 && t.step%r.EvalEvery == 0
}

// best is the lowest loss that was measured within a run with patience. It is in every checkpoint; what a save is
// followed by is measured again by a resume.
type best struct {
	Step  int     `json:"step"`            // after which the model was so good
	Loss  float64 `json:"loss"`            // nats
	Set   string  `json:"set"`             // that it was measured on
	Since int     `json:"since,omitempty"` // evaluations that were no better
}

// judge takes note of what an evaluation within the run found: of the last set that has losses, which is validation
// data where there is any.
func (b *best) judge(step int, results []eval.Result) {
	for _, r := range slices.Backward(results) {
		loss, ok := r.Loss()
		if !ok {
			continue
		}
		if b.Step == 0 || loss < b.Loss {
			*b = best{Step: step, Loss: loss, Set: r.Task}
		} else {
			b.Since++
		}
		return
	}
}

// takeBest makes the model that of the best evaluation, from its checkpoint, and says so.
func (r *Run) takeBest(t *Trainer) error {
	r.Trained = r.nameOf(t.step)
	if r.Patience == 0 || t.best.Step == 0 {
		return nil
	}
	name := r.nameOf(t.best.Step)
	r.Trained = name
	if t.best.Step != t.step {
		if err := t.Model.Restore(record.CheckpointAt(r.Folder.Dir, name)); err != nil {
			return fmt.Errorf("the best model, of step %d: %w", t.best.Step, err)
		}
	}
	return r.event(record.Best{At: t.at(), Checkpoint: name, Of: t.best.Step, Set: t.best.Set, Loss: t.best.Loss,
		Early: t.step < r.Recipe.Steps()})
}
