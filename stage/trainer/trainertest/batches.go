// Package trainertest has batches to test training with.
package trainertest

import (
	"context"
	"math/rand/v2"

	"steplm/data"
	"steplm/model"
)

// Listed hands out a list of batches, over and over. Its cursor is their count.
type Listed struct {
	Batches []data.Batch
	At      int    // batches that were handed out
	Before  func() // each Next, if there is one
}

// Next hands out a batch.
func (l *Listed) Next(context.Context) (data.Batch, error) {
	if l.Before != nil {
		l.Before()
	}
	b := l.Batches[l.At%len(l.Batches)]
	l.At++
	return b, nil
}

// Skip leaves out a batch.
func (l *Listed) Skip(ctx context.Context) error {
	_, err := l.Next(ctx)
	return err
}

// Cursor counts batches.
func (l *Listed) Cursor() data.Cursor { return data.Cursor{Windows: int64(l.At)} }

// Seek goes to where Cursor was.
func (l *Listed) Seek(c data.Cursor) error { l.At = int(c.Windows); return nil }

// Random makes n batches of a size, the same for the same seed.
func Random(n int, s model.Size, vocab int, seed uint64) *Listed {
	g := rand.New(rand.NewPCG(seed, 1))
	l := &Listed{}
	for range n {
		ids := make([]uint32, s.Rows()+1)
		for i := range ids {
			ids[i] = uint32(g.IntN(vocab))
		}
		l.Batches = append(l.Batches, data.NewBatch(ids[:s.Rows()], ids[1:]))
	}
	return l
}

// Scored makes n batches of which different numbers of targets are scored, of one none.
func Scored(n int, s model.Size, vocab int) []data.Batch {
	list := Random(n, s, vocab, 3).Batches
	for i, b := range list {
		for row := range i % s.Rows() * 3 % (s.Rows() + 1) {
			b.Targets[row] = data.Ignored
		}
	}
	for row := range list[n-2].Targets {
		list[n-2].Targets[row] = data.Ignored
	}
	return list
}
