// Package synthetic hands out micro-batches with no text behind them, to measure steps by.
//
// What Go cannot enforce: what trains on them learns nothing, so that no loss of theirs is a result.
package synthetic

import (
	"context"
	"math/rand/v2"

	"steplm/data"
	"steplm/model"
)

// Batches are of tokens drawn evenly from a vocabulary: a step costs what it costs on text, but for the embedding's
// gradient, in which text has fewer tokens, each more often.
type Batches struct {
	size  model.Size
	vocab int
	seed  uint64
	drawn int64
}

// New makes batches of a size that follow from the seed.
func New(s model.Size, vocab int, seed uint64) *Batches {
	return &Batches{size: s, vocab: vocab, seed: seed}
}

// Next draws a batch.
func (b *Batches) Next(context.Context) (data.Batch, error) {
	g := rand.New(rand.NewPCG(b.seed, uint64(b.drawn)))
	b.drawn++
	ids := make([]uint32, b.size.Rows()+1)
	for i := range ids {
		ids[i] = uint32(g.IntN(b.vocab))
	}
	return data.NewBatch(ids[:b.size.Rows()], ids[1:]), nil
}

// Skip leaves out a batch.
func (b *Batches) Skip(context.Context) error {
	b.drawn++
	return nil
}

// Cursor counts windows drawn.
func (b *Batches) Cursor() data.Cursor {
	return data.Cursor{Windows: b.drawn * int64(b.size.Batch)}
}

// Seek goes to where Cursor was.
func (b *Batches) Seek(c data.Cursor) error {
	b.drawn = c.Windows / int64(b.size.Batch)
	return nil
}
