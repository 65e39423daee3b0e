package stage

import (
	"context"
	"errors"
	"fmt"

	"steplm/stage/outer"
	"steplm/stage/record"
	"steplm/stage/trainer"
)

// round is where a trainer is in one with others.
type round struct {
	begun bool
	cut   bool // the others wait no longer for this process's steps of it
}

// await does what waits for others, and tells of that.
func (r *Run) await(what string, do func() error) error {
	if r.Report.Waiting != nil {
		r.Report.Waiting(what)
		defer r.Report.Waiting("")
	}
	return do()
}

// join is the trainer at where a process joins a run; nil: it joins none.
func (r *Run) join(ctx context.Context) (*trainer.Trainer, error) {
	if r.Peers == nil {
		return nil, nil
	}
	var j *outer.Joined
	err := r.await("the state of the run that it joins", func() (err error) {
		j, err = r.Peers.Join(ctx)
		return err
	})
	if errors.Is(err, outer.ErrLeft) {
		err = fmt.Errorf("%w before the first step: %w", ErrStopped, err)
	}
	if err != nil || j == nil {
		return nil, err
	}
	return trainer.NewJoined(r.Device, r.Recipe, r.batches(), *j)
}

// meanwhile looks at how something ended, in which others had a part: this process may be elsewhere with them now, be
// told to stop by them, or have lost them, which loses nothing of its own.
func (r *Run) meanwhile(ctx context.Context, err error) error {
	if again := (*outer.Rejoined)(nil); errors.As(err, &again) {
		err = r.rejoin(ctx, again.Joined)
	}
	switch {
	case errors.Is(err, outer.ErrLeft):
		r.left = true
		return nil
	case errors.Is(err, outer.ErrLost) && r.trainer.Done() > 0 && r.done.saved != r.trainer.Done():
		return errors.Join(err, r.save(ctx))
	}
	return err
}

// rejoin goes to where the others are that this process had lost.
func (r *Run) rejoin(ctx context.Context, j outer.Joined) error {
	before := r.trainer.At()
	r.trainer.Free()
	t, err := trainer.NewJoined(r.Device, r.Recipe, r.batches(), j)
	if err != nil {
		return err
	}
	if err := r.takeJoined(t); err != nil {
		return err
	}
	if err := r.cut(before); err != nil {
		return err
	}
	return r.compile(ctx)
}

// goTo has the trainer go to the step where the others are.
func (r *Run) goTo(step int) error {
	before := r.trainer.At()
	r.trainer.GoTo(step)
	return r.cut(before)
}

// cut takes back what this process did after where it is now, if it was further: it is with others that came back from
// an earlier checkpoint, and all of it is done again.
func (r *Run) cut(before record.At) error {
	now := r.trainer.At()
	if now.Step >= before.Step && now.Stage >= before.Stage {
		return nil
	}
	r.done = done{-1, -1, -1}
	note, err := r.Folder.CutMetrics(now)
	r.warn("%s", note)
	return err
}

// beginRound waits, before a round's first step, for the others.
func (r *Run) beginRound(ctx context.Context) error {
	t := r.trainer
	if r.Peers == nil || r.round.begun || t.Done() < r.Recipe.Outer.Start {
		return nil
	}
	t.Wait()
	err := r.await("the others to begin the round", func() error {
		at, err := r.Peers.Begin(ctx, t.Outer(), t.Stage(), t.Done())
		return errors.Join(err, r.goTo(at))
	})
	r.round.begun = err == nil
	return err
}

// tellStep tells the others of a step, and hears whether they wait for more.
func (r *Run) tellStep() {
	if step := r.trainer.Done(); r.Peers != nil && step > r.Recipe.Outer.Start {
		begun := r.trainer.Outer().Done()
		_, end := r.Recipe.Round(step - 1)
		r.round.cut = r.Peers.Over(step-begun, end-begun)
	}
}

// roundDue reports whether the steps of a round are done, and it is not.
func (r *Run) roundDue() bool {
	o, step := r.trainer.Outer(), r.trainer.Done()
	if o == nil || step <= r.Recipe.Outer.Start || o.Done() == step {
		return false
	}
	_, end := r.Recipe.Round(step - 1)
	return r.round.cut || end == step
}

// endRound makes the outer step, with the others if there are any. Then all are at the round's end, whatever steps of
// it each has made.
func (r *Run) endRound(ctx context.Context) error {
	r.done.saved = -1                         // A resume may have found the last step saved without it.
	if err := r.beginRound(ctx); err != nil { // that a resumed run found done
		return err
	}
	t, o := r.trainer, r.trainer.Outer()
	_, end := r.Recipe.Round(t.Done() - 1)
	tokens := int64(t.Done()-o.Done()) * r.Recipe.TokensPerStep()
	if r.Peers == nil {
		if _, err := o.Average(end, tokens, nil); err != nil {
			return fmt.Errorf("the round that ends with step %d: %w", end, err)
		}
		return nil
	}
	var report outer.Report
	err := r.await("the others to end the round", func() (err error) {
		report, err = r.Peers.End(ctx, o, end, tokens)
		return err
	})
	if err != nil {
		return fmt.Errorf("the round that ends with step %d: %w", end, err)
	}
	if err := r.goTo(report.Step); err != nil {
		return err
	}
	r.round = round{}
	e := record.Round{At: t.At(), Sent: report.Sent, Received: report.Received, Waited: report.Waited.Seconds()}
	for _, s := range report.Shares {
		e.Shares = append(e.Shares, record.Share{Process: s.Process, Name: s.Name, Tokens: s.Tokens})
		e.Tokens += s.Tokens
	}
	for _, s := range report.Missing {
		e.Missing = append(e.Missing, record.Share{Process: s.Process, Name: s.Name, Why: s.Why})
	}
	return errors.Join(r.event(e), r.Folder.Metrics.Keep()) // The checkpoint that follows has the round done.
}
