package stage

// action is what the controller decides.
type action int

const (
	actStep action = iota
	actSave
	actSample
	actEvaluate
	actAdvance
	actEnd
)

// done are the steps after which things were last done; -1: not in this process.
type done struct{ saved, sampled, evaluated int }

// next decides from what is done alone, so that a resumed run decides the same.
// Saving comes before everything that may fail: before evaluating, before a transition,
// before the end. Samples are of the model that the last step has made: they come before a transition.
func (r *Run) next(t *Trainer, d done) action {
	switch {
	case d.saved != t.step && r.saveDue(t):
		return actSave
	case d.sampled != t.step && r.Samples.Due(t.step):
		return actSample
	case t.step >= r.Recipe.Steps():
		return actEnd
	case t.Due():
		return actAdvance
	case d.evaluated != t.step && r.evalDue(t):
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
