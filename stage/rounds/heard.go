package rounds

import (
	"fmt"
	"math"

	"steplm/stage/outer"
)

// hear reads what a member sends, until that fails or it leaves.
func (c *Coordinator) hear(m *member) error {
	for {
		in, err := m.read()
		if err != nil {
			return err
		}
		if err := c.heard(m, in); err != nil {
			return err
		}
	}
}

func (c *Coordinator) heard(m *member, in message) error {
	switch in.kind {
	case alive:
		return nil
	case leave:
		var why textBody
		if err := decode(in.body, &why); err != nil {
			return err
		}
		return fmt.Errorf("it left: %.200q", why.Text)
	case ready:
		var r readyBody
		if err := decode(in.body, &r); err != nil {
			return err
		}
		if r.Recipe != c.run.Hash {
			err := fmt.Errorf("its recipe has the hash %.12q, this run's %.12q", r.Recipe, c.run.Hash)
			m.queue(refused, words(err.Error(), false))
			m.discard() // until it has heard that
			return err
		}
		m.limit = c.sizes.toCoordinator(true, true)
		c.stands(m, r.Round)
	case differs:
		c.mu.Lock()
		m.waits, m.has, m.in = true, false, nil
		c.decide()
		c.mu.Unlock()
		c.run.Log("worker %d, %s, has another state, and takes the coordinator's with the next round", m.process,
			m.name)
	case progress:
		var p progressBody
		if err := decode(in.body, &p); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.takesPart(m, p.Step) && p.Done >= p.Steps {
			m.done = true
			c.decide()
		}
	case change:
		return c.changeOf(m, in.body)
	default:
		return fmt.Errorf("a message of kind %d", in.kind)
	}
	return nil
}

// stands hears where a worker stands: in the round that runs, in one that may run next, or nowhere yet.
func (c *Coordinator) stands(m *member, in *beginBody) {
	c.mu.Lock()
	how := "joins with the next round"
	if m.back {
		how = "is back, and takes part again with the next round"
	}
	if r := c.round; in != nil && r != nil && *in == r.beginBody {
		m.waits, m.has, m.in = false, true, r
		if how = "is back in its round"; r.over {
			m.queue(over, encode(beginBody{Stage: r.Stage, Step: r.Step}))
		}
	} else {
		m.offer, m.waits, m.has, m.in, m.change = in, true, false, nil, nil
	}
	c.decide()
	c.mu.Unlock()
	c.run.Log("worker %d, %s, %s", m.process, m.name, how)
}

// changeOf takes a member's change for the round that runs, if it is of it.
func (c *Coordinator) changeOf(m *member, body []byte) error {
	var h changeHead
	rest, err := beheaded(body, &h)
	if err != nil {
		return err
	}
	c.mu.Lock()
	stage := -1
	if c.takesPart(m, h.Step) {
		stage = c.round.Stage
	} else if m.offer != nil && m.offer.Step == h.Step {
		stage = m.offer.Stage
	}
	c.mu.Unlock()
	if stage < 0 || stage >= len(c.run.Layouts) { // it came too late, and is missed there
		return nil
	}
	if h.Tokens < 1 || h.Tokens > math.MaxInt64/mostWorkers/2 {
		return fmt.Errorf("a change after %d tokens", h.Tokens)
	}
	if err := outer.CheckChange(c.run.Outer, c.run.Layouts[stage], rest); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	part := &outer.Part{Tokens: h.Tokens, Change: rest}
	if c.takesPart(m, h.Step) {
		m.change, m.done = part, true
		c.decide()
	} else if m.offer != nil && m.offer.Step == h.Step {
		m.early = part
	}
	return nil
}

// takesPart reports whether a member began the round that runs, and that is the one from a step. It is called with the
// lock held.
func (c *Coordinator) takesPart(m *member, step int) bool {
	return c.round != nil && c.round.Step == step && m.in == c.round
}
