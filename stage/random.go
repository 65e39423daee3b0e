package stage

import (
	"context"
	"math/rand/v2"

	"steplm/data"
	"steplm/model"
)

// Random hands out micro-batches of tokens drawn evenly from a vocabulary, for
// measuring: a step costs what it costs on text, but for the embedding's gradient, in
// which text has fewer tokens, each more often.
type Random struct {
	size  model.Size
	vocab int
	seed  uint64
	drawn int64
}

// NewRandom makes batches of a size that follow from the seed.
func NewRandom(s model.Size, vocab int, seed uint64) *Random {
	return &Random{size: s, vocab: vocab, seed: seed}
}

// Next draws a batch.
func (r *Random) Next(context.Context) (data.Batch, error) {
	g := rand.New(rand.NewPCG(r.seed, uint64(r.drawn)))
	r.drawn++
	ids := make([]uint32, r.size.Rows()+1)
	for i := range ids {
		ids[i] = uint32(g.IntN(r.vocab))
	}
	return data.NewBatch(ids[:r.size.Rows()], ids[1:]), nil
}

// Cursor counts windows drawn.
func (r *Random) Cursor() data.Cursor {
	return data.Cursor{Windows: r.drawn * int64(r.size.Batch)}
}

// Seek goes to where Cursor was.
func (r *Random) Seek(c data.Cursor) error {
	r.drawn = c.Windows / int64(r.size.Batch)
	return nil
}
