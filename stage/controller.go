package stage

import (
	"context"
	"fmt"
	"slices"

	"steplm/stage/eval"
	"steplm/stage/record"
)

// action is what the controller decides.
type action int

const (
	actStep action = iota
	actRound
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
// A round comes before all of it: what is saved, measured or grown is its outcome.
func (r *Run) next(t *Trainer, d done) action {
	switch {
	case t.roundDue():
		return actRound
	case d.saved != t.step && r.saveDue(t):
		return actSave
	case d.sampled != t.step && r.Samples.Due(t.step) && t.stepped():
		return actSample
	case r.Patience > 0 && d.evaluated != t.step && (r.evalDue(t) || t.step >= r.Recipe.Steps()):
		return actEvaluate // before the end, which it may be
	case t.step >= r.Recipe.Steps() || r.Patience > 0 && t.best.Since >= r.Patience:
		return actEnd
	case t.Due():
		return actAdvance
	case d.evaluated != t.step && r.evalDue(t):
		return actEvaluate
	}
	return actStep
}

// stepped reports whether a step has made the model as it is, and no transition since: what a run that goes on after a
// transition said before it, it has said.
func (t *Trainer) stepped() bool {
	stage, _ := t.Recipe.StageOf(t.step - 1)
	return t.step > 0 && stage == t.stage
}

func (r *Run) saveDue(t *Trainer) bool {
	return t.Due() && t.entry().Save || t.step >= r.Recipe.Steps() ||
		t.step > 0 && t.step == r.Recipe.DecayFrom() || r.every(t, r.SaveEvery) ||
		r.Patience > 0 && r.evalDue(t)
}

// evalDue: around a transition that evaluates and at the end other evaluations take its place.
func (r *Run) evalDue(t *Trainer) bool { return t.step > 0 && r.every(t, r.EvalEvery) }

// every reports whether a step is one of every n; with other processes, whether the round that ends with it had one,
// since between rounds alone all have the same weights, and a round may skip steps.
func (r *Run) every(t *Trainer, n int) bool {
	if n <= 0 {
		return false
	}
	if r.Peers == nil || t.step > 0 && t.step <= t.Recipe.Outer.Start {
		return t.step%n == 0
	}
	if t.outer.Done() != t.step || t.step == 0 {
		return false
	}
	begin, _ := r.Recipe.Round(t.step - 1)
	return t.step/n > begin/n
}

// roundDue reports whether the steps of a round are done, and it is not.
func (t *Trainer) roundDue() bool {
	if t.outer == nil || t.step <= t.Recipe.Outer.Start || t.outer.Done() == t.step {
		return false
	}
	_, end := t.Recipe.Round(t.step - 1)
	return t.cut || end == t.step
}

// wait has the first round begin no earlier than it is to.
func (t *Trainer) wait() {
	if t.outer != nil && t.step <= t.Recipe.Outer.Start && t.outer.Done() < t.Recipe.Outer.Start {
		t.outer.Wait(t.step)
	}
}

// beginRound waits, before a round's first step, for the others.
func (r *Run) beginRound(ctx context.Context, t *Trainer) (err error) {
	if r.Peers == nil || t.begun || t.step < t.Recipe.Outer.Start {
		return nil
	}
	t.wait()
	if t.step, err = r.Peers.Begin(ctx, t.outer, t.stage, t.step); err == nil {
		t.begun = true
	}
	return err
}

// stepped tells the others of a step, and hears whether they wait for more.
func (r *Run) stepped(t *Trainer) {
	if r.Peers != nil && t.step > t.Recipe.Outer.Start {
		_, end := t.Recipe.Round(t.step - 1)
		t.cut = r.Peers.Over(t.step-t.outer.Done(), end-t.outer.Done())
	}
}

// endRound makes the outer step, with the others if there are any. Then all are at the round's end, whatever steps of
// it each has made.
func (r *Run) endRound(ctx context.Context, t *Trainer) error {
	if err := r.beginRound(ctx, t); err != nil { // that a resumed run found done
		return err
	}
	_, end := t.Recipe.Round(t.step - 1)
	tokens := int64(t.step-t.outer.Done()) * t.Recipe.TokensPerStep()
	if r.Peers == nil {
		if _, err := t.outer.Average(end, tokens, nil); err != nil {
			return fmt.Errorf("the round that ends with step %d: %w", end, err)
		}
		return nil
	}
	report, err := r.Peers.End(ctx, t.outer, end, tokens)
	if err != nil {
		return fmt.Errorf("the round that ends with step %d: %w", end, err)
	}
	t.step, t.begun, t.cut = report.Step, false, false
	e := record.Round{At: t.at(), Sent: report.Sent, Received: report.Received, Waited: report.Waited.Seconds()}
	for _, s := range report.Shares {
		e.Shares = append(e.Shares, record.Share{Process: s.Process, Name: s.Name, Tokens: s.Tokens})
		e.Tokens += s.Tokens
	}
	for _, s := range report.Missing {
		e.Missing = append(e.Missing, record.Share{Process: s.Process, Name: s.Name, Why: s.Why})
	}
	return r.event(e)
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
