package generate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"steplm/gpu"
	"steplm/model"
)

// Config is how much a Generator does at once.
type Config struct {
	Slots   int // sequences
	Context int // positions of one, at most; 0: the model's
	// Positions are those of the cache, which all sequences share: each has as many as its prompt and what may be added
	// take; 0: a whole context for each slot.
	Positions int
	Chunk     int // tokens of prompts that a step reads, at most; 0: DefaultChunk
}

// DefaultChunk keeps a step that reads a prompt short beside those that only add tokens.
const DefaultChunk = 256

// logitBytes is what logits take on the device, unless all slots' are more.
const logitBytes = 16 << 20

// Resolve fills in what was left at zero, for a model, and refuses what cannot be.
func (c Config) Resolve(l model.Layout) (Config, error) {
	if c.Context == 0 {
		c.Context = l.MaxSeqLen
	}
	if c.Chunk == 0 {
		c.Chunk = DefaultChunk
	}
	if c.Slots < 1 || c.Chunk < 1 {
		return c, fmt.Errorf("%d sequences at once, of whose prompts a step reads %d tokens: both must be 1 or more",
			c.Slots, c.Chunk)
	}
	if c.Context < 1 || c.Context > l.MaxSeqLen {
		return c, fmt.Errorf("a context of %d positions: it must be 1 to the model's %d", c.Context, l.MaxSeqLen)
	}
	if c.Positions == 0 {
		c.Positions = c.Slots * c.Context
	}
	if c.Positions < 1 {
		return c, fmt.Errorf("a cache of %d positions: it must have 1 or more", c.Positions)
	}
	return c, nil
}

// size is that of the passes of a resolved Config.
func (c Config) size(l model.Layout) model.RowsSize {
	rows := max(c.Slots, c.Chunk)
	return model.RowsSize{Most: rows, Context: c.Context,
		Logits: min(rows, max(c.Slots, logitBytes/4/l.Vocab))}
}

// Specs lists what New would allocate besides the model.
func Specs(l model.Layout, c Config) ([]gpu.Spec, error) {
	c, err := c.Resolve(l)
	if err != nil {
		return nil, err
	}
	return model.CachedSpecs(l, c.Positions, c.size(l))
}

// Generator continues sequences, see the package.
type Generator struct {
	Config
	m     *model.Model
	cache *model.Cache
	rows  *model.Rows
	free  *extents
	all   []*Sequence // in the order in which they came
}

// New allocates a Generator for a model, which the caller frees after it.
func New(m *model.Model, c Config) (*Generator, error) {
	c, err := c.Resolve(m.Layout)
	if err != nil {
		return nil, err
	}
	g := &Generator{Config: c, m: m, free: newExtents(c.Positions)}
	g.cache, g.rows, err = model.NewCached(m, c.Positions, c.size(m.Layout))
	if err != nil {
		return nil, err
	}
	return g, nil
}

// Free ends all sequences and releases what New allocated.
func (g *Generator) Free() {
	for _, s := range slices.Clone(g.all) {
		g.Cancel(s)
	}
	g.rows.Free()
	g.cache.Free()
}

// Model is the one that generates.
func (g *Generator) Model() *model.Model { return g.m }

// Active is how many sequences there are.
func (g *Generator) Active() int { return len(g.all) }

// Room is how many slots and how many positions of the cache nobody has.
func (g *Generator) Room() (slots, positions int) { return g.Slots - len(g.all), g.free.left() }

// Check returns the error that Add has for a request which never fits. Any goroutine may call it.
func (g *Generator) Check(r Request) error {
	if err := r.check(g.m.Vocab); err != nil {
		return err
	}
	if n, most := len(r.Prompt), g.longest(); n > most {
		return &TooLong{n, most}
	}
	return nil
}

// longest is how many positions one sequence may have.
func (g *Generator) longest() int { return min(g.Context, g.Positions) }

// Add takes a sequence in. It returns ErrFull where there is no room now, and a *TooLong where the prompt never fits.
func (g *Generator) Add(r Request) (*Sequence, error) {
	if err := g.Check(r); err != nil {
		return nil, err
	}
	n, most := len(r.Prompt), g.longest()
	if len(g.all) == g.Slots {
		return nil, ErrFull
	}
	s := &Sequence{Request: r, history: slices.Clone(r.Prompt)}
	s.most = min(r.MaxTokens, most-n+1) // The last is added and not read.
	var ok bool
	if s.extent, ok = g.free.take(max(n, n+s.most-1)); !ok {
		return nil, ErrFull
	}
	g.all = append(g.all, s)
	return s, nil
}

// All continues texts to their ends, as many at once as there is room for, and returns them in the order of their
// requests. An error ends them all; what is wrong with one alone is its Err.
func (g *Generator) All(ctx context.Context, requests []Request) (list []*Sequence, err error) {
	defer func() {
		for _, s := range list { // which have ended, unless there is an error
			g.Cancel(s)
		}
	}()
	for len(list) < len(requests) || g.Active() > 0 {
		for len(list) < len(requests) {
			s, err := g.Add(requests[len(list)])
			if errors.Is(err, ErrFull) {
				break
			}
			if err != nil {
				return list, err
			}
			list = append(list, s)
		}
		if err := ctx.Err(); err != nil {
			return list, err
		}
		if err := g.Step(); err != nil {
			return list, err
		}
	}
	return list, nil
}

// Cancel ends a sequence between steps, or while one of its tokens is heard.
func (g *Generator) Cancel(s *Sequence) { g.finish(s, Cancelled) }

// finish ends a sequence, if it has not ended.
func (g *Generator) finish(s *Sequence, why Finish) {
	at := slices.Index(g.all, s)
	if at < 0 || s.Finish != "" {
		return
	}
	s.Finish = why
	g.free.give(s.extent)
	g.all = slices.Delete(g.all, at, at+1)
}

// Logits are those of the token that follows on a prompt, (V): for whoever wants to see them rather than a token. There
// must be room for the prompt, as there is for a sequence.
func (g *Generator) Logits(prompt []uint32) ([]float32, error) {
	s, err := g.Add(Request{Prompt: prompt})
	if err != nil {
		return nil, err
	}
	defer g.Cancel(s)
	for {
		n := min(g.Chunk, len(prompt)-s.read)
		rows := make([]model.Row, n)
		for i := range rows {
			rows[i] = model.Row{ID: prompt[s.read+i], Position: s.read + i, First: s.extent.first}
		}
		var picked []int
		if s.read += n; s.read == len(prompt) {
			picked = []int{n - 1}
		}
		logits, err := g.m.Run(g.rows, rows, false, picked)
		if err != nil || len(picked) > 0 {
			return logits, err
		}
	}
}
