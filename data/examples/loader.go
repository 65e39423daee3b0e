package examples

import (
	"context"
	"errors"
	"fmt"

	"steplm/data"
)

// orderVersion is the version of the order in which examples are handed out, as Cursor.Order has it; package data's own
// order has another.
const orderVersion = 1001

// Loader hands out the micro-batches of a set, epoch after epoch. Each epoch has every example once; its last step is
// filled up with windows of nothing but padding. A Loader has one caller at a time.
type Loader struct {
	set     *Set
	layout  Layout
	cursor  data.Cursor
	windows [][]int // of the epoch
}

// NewLoader makes a Loader at the beginning of its sequence.
func NewLoader(s *Set, t Tokenizer, l Layout) (*Loader, error) {
	if l.BatchSize < 1 || l.GradAccum < 1 || l.SeqLen < 1 {
		return nil, fmt.Errorf("batch size %d, gradient accumulation %d and sequence length %d must be at least 1",
			l.BatchSize, l.GradAccum, l.SeqLen)
	}
	if s.SeqLen > l.SeqLen {
		return nil, fmt.Errorf("examples of up to %d tokens in windows of %d", s.SeqLen, l.SeqLen)
	}
	hash := ""
	if h, ok := t.(interface{ Hash() string }); ok {
		hash = h.Hash()
	}
	identity := s.Identity()
	if l.Pack {
		identity += ", packed"
	}
	x := &Loader{set: s, layout: l, cursor: data.Cursor{
		Order: orderVersion, Tokenizer: hash, Vocab: t.VocabSize(), SeqLen: l.SeqLen, Seed: l.Seed,
		BlockWindows: l.step(), Shuffle: l.Shuffle, Sources: []data.SourceCursor{{Data: identity}},
	}}
	x.windows = l.epoch(s, 0)
	return x, nil
}

// Next hands out the next micro-batch.
func (x *Loader) Next(ctx context.Context) (data.Batch, error) {
	if err := ctx.Err(); err != nil {
		return data.Batch{}, err
	}
	at, b := &x.cursor.Sources[0], x.layout.BatchSize
	n := min(at.Window+b, len(x.windows))
	batch := x.layout.Batch(x.set.Examples, x.windows[min(at.Window, n):n])
	x.cursor.Windows, at.Windows = x.cursor.Windows+int64(b), at.Windows+int64(b)
	at.Rows += int64(batch.Used())
	if at.Window += b; at.Window >= x.layout.steps(len(x.windows))*x.layout.step() {
		at.Window = 0
		at.Epoch++
		x.windows = x.layout.epoch(x.set, at.Epoch)
	}
	return batch, nil
}

// Skip is Next of a micro-batch that another process takes.
func (x *Loader) Skip(ctx context.Context) error {
	_, err := x.Next(ctx)
	return err
}

// Cursor is the position after the last micro-batch handed out.
func (x *Loader) Cursor() data.Cursor {
	c := x.cursor
	c.Sources = []data.SourceCursor{x.cursor.Sources[0]}
	return c
}

// Seek moves to a cursor: the micro-batches from Next on are those that followed it. A cursor of other examples, of
// another tokenizer or layout is refused.
func (x *Loader) Seek(c data.Cursor) error {
	if err := x.cursor.Compatible(c); err != nil {
		return err
	}
	at := c.Sources[0]
	if at.Epoch < 0 || at.Window < 0 || at.Window%x.layout.BatchSize != 0 {
		return fmt.Errorf("the cursor points outside the examples: epoch %d, window %d", at.Epoch, at.Window)
	}
	windows := x.layout.epoch(x.set, at.Epoch)
	if at.Window >= x.layout.steps(len(windows))*x.layout.step() {
		return errors.New("the cursor points beyond its epoch")
	}
	c.Sources = []data.SourceCursor{at}
	x.cursor, x.windows = c, windows
	return nil
}

// Close is for whoever closes a source of batches; there is nothing to end.
func (x *Loader) Close() error { return nil }

// Epoch is how many epochs are over.
func (x *Loader) Epoch() int { return x.cursor.Sources[0].Epoch }

// Epochs is how many were handed out, the windows of the last as a share of all of it.
func (x *Loader) Epochs() float64 {
	at := x.cursor.Sources[0]
	return float64(at.Epoch) + float64(min(at.Window, len(x.windows)))/float64(len(x.windows))
}

// Tokens is how many ids of examples were handed out.
func (x *Loader) Tokens() int64 { return x.cursor.Sources[0].Rows }
