package rounds

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"steplm/stage/outer"
)

// round is one that runs.
type round struct {
	beginBody
	began time.Time
	own   bool // the coordinator has done its steps
	over  bool // closed
	took  time.Duration
}

// decide closes the round once the quorum has done its steps. It is called with the lock held.
func (c *Coordinator) decide() {
	r := c.round
	c.changed.Broadcast()
	if r == nil || r.over {
		return
	}
	in, done := 1, 0
	if r.own {
		done++
	}
	for _, m := range c.away {
		if m.change != nil {
			in, done = in+1, done+1
		}
	}
	for _, m := range c.members {
		if m.in == r {
			in++
			if m.done {
				done++
			}
		}
	}
	if float64(done) >= c.run.Quorum*float64(in)-1e-9 {
		c.close()
	}
}

// close closes the round: who has not sent its change is to send what it has. It is called with the lock held.
func (c *Coordinator) close() {
	r := c.round
	r.over, r.took = true, time.Since(r.began)
	for _, m := range c.members {
		if m.in == r && m.change == nil {
			m.queue(over, encode(beginBody{Stage: r.Stage, Step: r.Step}))
		}
	}
}

// gather waits until every member that began the round has sent its change, is gone, or is too late.
func (c *Coordinator) gather(ctx context.Context) (parts []outer.Part, report outer.Report, err error) {
	wake := func() { c.mu.Lock(); defer c.mu.Unlock(); c.changed.Broadcast() }
	defer context.AfterFunc(ctx, wake)()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round.own = true // or closed without it: either way it waits for the others now
	c.decide()
	var deadline time.Time
	patience := 20 * max(c.run.Least, time.Since(c.round.began))
	last := time.Now().Add(patience)
	defer time.AfterFunc(patience, wake).Stop()
	for {
		if ctx.Err() != nil {
			return nil, report, ctx.Err()
		}
		if !c.round.over && !time.Now().Before(last) {
			c.close()
		}
		if c.round.over && deadline.IsZero() {
			wait := max(c.run.Least, c.round.took)
			deadline = time.Now().Add(wait)
			defer time.AfterFunc(wait, wake).Stop()
		}
		late := !deadline.IsZero() && !time.Now().Before(deadline)
		if late || !slices.ContainsFunc(c.inOrder(), c.missing) {
			parts, report = c.outcome()
			return parts, report, nil
		}
		c.changed.Wait()
	}
}

// missing reports whether a member began the round, and has not sent its change. It is called with the lock held.
func (c *Coordinator) missing(m *member) bool { return m.in == c.round && m.change == nil }

// outcome is the changes that came, of members in their order, and whose they are, and who is missing. It is called
// with the lock held.
func (c *Coordinator) outcome() (parts []outer.Part, report outer.Report) {
	all := maps.Clone(c.members)
	maps.Copy(all, c.away) // who sent its change and went has a share
	for _, m := range byNumber(all) {
		switch {
		case c.missing(m):
			report.Missing = append(report.Missing, m.share(cmp.Or(m.why, "it was too late")))
		case m.in == c.round:
			parts = append(parts, *m.change)
			report.Shares = append(report.Shares, m.share(""))
		}
	}
	return parts, report
}
