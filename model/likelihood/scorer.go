package likelihood

import (
	"context"
	"fmt"

	"steplm/gpu"
	"steplm/model"
)

// Config is how much a Scorer does at once. Zeros stand for defaults.
type Config struct {
	Context   int // positions of a sequence, at most; 0: the model's
	Rows      int // tokens that a pass reads; 0: DefaultRows
	Positions int // of the cache; 0: those of 16 passes, or of one sequence
}

// DefaultRows is enough for products to run at their full speed, and few enough that activations stay small.
const DefaultRows = 512

const (
	passesOfCache = 16       // of rows that lie in the cache, unless its positions are given
	logitBytes    = 16 << 20 // that logits take on the device
	readBytes     = 64 << 20 // of logits that a pass reads, unless one row has more
)

// Resolve fills in what was left at zero, for a model, and refuses what cannot be.
func (c Config) Resolve(l model.Layout) (Config, error) {
	if c.Context == 0 {
		c.Context = l.MaxSeqLen
	}
	if c.Rows == 0 {
		c.Rows = DefaultRows
	}
	if c.Context < 1 || c.Context > l.MaxSeqLen {
		return c, fmt.Errorf("a context of %d positions: it must be 1 to the model's %d", c.Context, l.MaxSeqLen)
	}
	if c.Positions == 0 {
		c.Positions = max(c.Context, passesOfCache*c.Rows)
	}
	if c.Rows < 1 || c.Positions < c.Context {
		return c, fmt.Errorf(
			"passes over %d tokens and a cache of %d positions: there must be 1 token and %d positions, "+
				"the context's, or more",
			c.Rows,
			c.Positions,
			c.Context,
		)
	}
	return c, nil
}

// size is that of the passes of a resolved Config.
func (c Config) size(l model.Layout) model.RowsSize {
	return model.RowsSize{Most: c.Rows, Context: c.Context, Logits: min(c.Rows, max(1, logitBytes/4/l.Vocab))}
}

// Specs lists what New would allocate besides the model.
func Specs(l model.Layout, c Config) ([]gpu.Spec, error) {
	c, err := c.Resolve(l)
	if err != nil {
		return nil, err
	}
	return model.CachedSpecs(l, c.Positions, c.size(l))
}

// Scorer answers requests, see the package.
type Scorer struct {
	Config
	m     *model.Model
	cache *model.Cache
	rows  *model.Rows
	picks int // rows of a pass whose logits are read, at most
}

// New allocates a Scorer for a model, which the caller frees after it.
func New(m *model.Model, c Config) (*Scorer, error) {
	c, err := c.Resolve(m.Layout)
	if err != nil {
		return nil, err
	}
	s := &Scorer{Config: c, m: m, picks: max(1, readBytes/4/m.Vocab)}
	s.cache, s.rows, err = model.NewCached(m, c.Positions, c.size(m.Layout))
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Free releases what New allocated.
func (s *Scorer) Free() {
	s.rows.Free()
	s.cache.Free()
}

// Request asks how likely a continuation is after a context. Neither is empty, and all but the last of their tokens fit
// into the Scorer's context.
type Request struct{ Context, Continuation []uint32 }

// Answer is what a model says of a request.
type Answer struct {
	LogLikelihood float64 // ln p(continuation | context), the sum over its tokens
	Greedy        bool    // each of its tokens is the likeliest at its place, of equals the one with the smaller id
}

// Score answers requests, in an order of its own: heard hears each once, by its index. It ends early when ctx is done
// or heard returns an error.
func (s *Scorer) Score(ctx context.Context, requests []Request, heard func(i int, a Answer) error) error {
	for i, r := range requests {
		if err := s.check(r); err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
	}
	answers := make([]pending, len(requests))
	for i, r := range requests {
		answers[i] = pending{Answer{Greedy: true}, len(r.Continuation)}
	}
	groups := groupsOf(requests)
	for len(groups) > 0 {
		n, lanes := s.place(groups)
		groups = groups[n:]
		for len(lanes) > 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			pieces := s.take(lanes)
			if err := s.pass(pieces, answers, heard); err != nil {
				return err
			}
			left := lanes[:0]
			for _, l := range lanes {
				if len(l.chains) > 0 {
					left = append(left, l)
				}
			}
			lanes = left
		}
	}
	return nil
}

// check refuses a request that cannot be answered.
func (s *Scorer) check(r Request) error {
	if len(r.Context) == 0 || len(r.Continuation) == 0 {
		return fmt.Errorf("a continuation of %d tokens after a context of %d: both need at least one",
			len(r.Continuation), len(r.Context))
	}
	if n := len(r.Context) + len(r.Continuation); n > s.Context+1 {
		return fmt.Errorf("a context of %d tokens and a continuation of %d: the model's context of %d and the one "+
			"after it have room for %d", len(r.Context), len(r.Continuation), s.Context, s.Context+1)
	}
	for _, ids := range [][]uint32{r.Context, r.Continuation} {
		for i, id := range ids {
			if int64(id) >= int64(s.m.Vocab) {
				return fmt.Errorf("id %d at position %d is not below the model's vocabulary of %d", id, i, s.m.Vocab)
			}
		}
	}
	return nil
}

// pending is an answer to which tokens are still to be added.
type pending struct {
	Answer
	left int
}
