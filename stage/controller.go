package stage

// action is what the controller decides.
type action int

const (
	actStep action = iota
	actSave
	actGrow
	actEnd
)

// next decides from what is done alone, so that a resumed run decides the same.
// Saving comes before everything that may fail: before evaluating, before a
// transition, before the end.
func (r *Run) next(t *Trainer, saved int) action {
	over := t.step >= r.Recipe.Steps()
	switch {
	case saved != t.step && (over || t.Due() || r.saveDue(t)):
		return actSave
	case over:
		return actEnd
	case t.Due():
		return actGrow
	}
	return actStep
}

func (r *Run) saveDue(t *Trainer) bool {
	return t.Due() || t.step >= r.Recipe.Steps() || (r.SaveEvery > 0 && t.step%r.SaveEvery == 0)
}

// evalDue: around growth and at the end other evaluations take its place.
func (r *Run) evalDue(t *Trainer) bool {
	return r.EvalEvery > 0 && t.step%r.EvalEvery == 0 && !t.Due() && t.step < r.Recipe.Steps()
}
