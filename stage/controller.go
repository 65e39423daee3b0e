package stage

import "context"

// next decides from what is done alone, so that a resumed run decides the same; nil: the run is over.
// Saving comes before everything that may fail: before evaluating, before a transition,
// before the end. Samples are of the model that the last step has made: they come before a transition.
// A round comes before all of it: what is saved, measured or grown is its outcome.
func (r *Run) next() func(context.Context) error {
	step, over := r.trainer.Done(), r.over()
	switch {
	case r.roundDue():
		return r.endRound
	case r.done.saved != step && r.saveDue():
		return r.save
	case r.done.sampled != step && r.Samples.Due(step) && r.fresh():
		return r.sampleModel
	case r.Patience > 0 && r.done.evaluated != step && (r.evalDue() || over):
		return r.evaluateModel // before the end, which it may be
	case over || r.Patience > 0 && r.best.Since >= r.Patience:
		return nil
	case r.trainer.Due():
		return r.advance
	case r.done.evaluated != step && r.evalDue():
		return r.evaluateModel
	}
	return r.step
}

// over reports whether all steps are done.
func (r *Run) over() bool { return r.trainer.Done() >= r.Recipe.Steps() }

// fresh reports whether a step has made the model as it is, and no transition since: what a run that goes on after a
// transition said before it, it has said.
func (r *Run) fresh() bool {
	stage, _ := r.Recipe.StageOf(r.trainer.Done() - 1)
	return r.trainer.Done() > 0 && stage == r.trainer.Stage()
}

func (r *Run) saveDue() bool {
	t, step := r.trainer, r.trainer.Done()
	return t.Due() && t.Entry().Save || r.over() || step > 0 && step == r.Recipe.DecayFrom() || r.every(r.SaveEvery) ||
		r.Patience > 0 && r.evalDue()
}

// evalDue: around a transition that evaluates and at the end other evaluations take its place.
func (r *Run) evalDue() bool { return r.trainer.Done() > 0 && r.every(r.EvalEvery) }

// every reports whether a step is one of every n; with other processes, whether the round that ends with it had one,
// since between rounds alone all have the same weights, and a round may skip steps.
func (r *Run) every(n int) bool {
	if n <= 0 {
		return false
	}
	step := r.trainer.Done()
	if r.Peers == nil || step > 0 && step <= r.Recipe.Outer.Start {
		return step%n == 0
	}
	if r.trainer.Outer().Done() != step || step == 0 {
		return false
	}
	begin, _ := r.Recipe.Round(step - 1)
	return step/n > begin/n
}
