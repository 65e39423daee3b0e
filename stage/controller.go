package stage

// action is what the controller decides.
type action int

const (
	actStep action = iota
	actRound
	actSave
	actEvaluate
	actAdvance
	actEnd
)

// next decides from what is done alone, so that a resumed run decides the same:
// saved and evaluated are the steps after which that was last done. Saving comes
// before everything that may fail: before evaluating, before a transition,
// before the end. A round comes before all of it: what is saved, measured or grown is its outcome.
func (r *Run) next(t *Trainer, saved, evaluated int) action {
	switch {
	case t.roundDue():
		return actRound
	case saved != t.step && r.saveDue(t):
		return actSave
	case t.step >= r.Recipe.Steps():
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
		t.step > 0 && t.step == r.Recipe.DecayFrom() || (r.SaveEvery > 0 && t.step%r.SaveEvery == 0)
}

// evalDue: around a transition that evaluates and at the end other evaluations take its place.
func (r *Run) evalDue(t *Trainer) bool {
	return r.EvalEvery > 0 && t.step > 0 && t.step%r.EvalEvery == 0
}
