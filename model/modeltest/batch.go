package modeltest

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"steplm/model"
)

// Batch is data.Batch, which this package does not know.
type Batch struct{ Inputs, Targets, Begins, Tokens, Starts, Order []uint32 }

// Onto loads the batch.
func (b Batch) Onto(a *model.Activations) error {
	return a.Load(b.Inputs, b.Targets, b.Begins, b.Tokens, b.Starts, b.Order)
}

// Random is a generator with a seed.
func Random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// NewBatch groups the inputs as data.NewBatch does, written apart from it.
func NewBatch(inputs, targets []uint32) Batch {
	b := Batch{Inputs: inputs, Targets: targets}
	for row := range inputs {
		b.Order = append(b.Order, uint32(row))
	}
	slices.SortStableFunc(b.Order, func(x, y uint32) int { return cmp.Compare(inputs[x], inputs[y]) })
	for i, row := range b.Order {
		if i == 0 || inputs[row] != inputs[b.Order[i-1]] {
			b.Tokens, b.Starts = append(b.Tokens, inputs[row]), append(b.Starts, uint32(i))
		}
	}
	b.Starts = append(b.Starts, uint32(len(inputs)))
	return b
}

// SomeBatch is a batch of ids below vocab with a few ignored targets, the same
// for the same seed.
func SomeBatch(seed uint64, s model.Size, vocab int) Batch {
	g := Random(seed)
	inputs, targets := make([]uint32, s.Rows()), make([]uint32, s.Rows())
	for i := range inputs {
		inputs[i], targets[i] = g.Uint32N(uint32(vocab)), g.Uint32N(uint32(vocab))
		if i%7 == 5 {
			targets[i] = Ignored
		}
	}
	return NewBatch(inputs, targets)
}

// MeanScale is one over the number of targets that count.
func MeanScale(b Batch) float32 {
	n := 0
	for _, target := range b.Targets {
		if target != Ignored {
			n++
		}
	}
	return 1 / float32(n)
}

// Ignored is data.Ignored: a target that does not count.
const Ignored = 0xFFFFFFFF
