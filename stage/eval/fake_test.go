package eval

import (
	"iter"
	"math"
	"math/rand/v2"
	"testing"
)

// bigram is a Model whose loss of b after a is a table's, and which knows a
// window's position: the very first one costs a little more. Both show in a
// number when a window is cut at the wrong place.
type bigram struct {
	batch, seqLen, vocab int
	loss                 []float32 // (V, V)
	calls                int
	t                    *testing.T
}

const firstPosition = 0.25 // nats added at position 0 of a window

func newBigram(t *testing.T, batch, seqLen, vocab int) *bigram {
	m := &bigram{batch: batch, seqLen: seqLen, vocab: vocab, loss: make([]float32, vocab*vocab), t: t}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range m.loss {
		m.loss[i] = 0.5 + 3*r.Float32()
	}
	return m
}

func (m *bigram) Batch() int  { return m.batch }
func (m *bigram) SeqLen() int { return m.seqLen }

func (m *bigram) Losses(inputs, targets, begins []uint32) ([]float32, error) {
	m.calls++
	if len(inputs) != m.batch*m.seqLen || len(targets) != len(inputs) {
		m.t.Fatalf("Losses got %d inputs and %d targets, want %d of each", len(inputs), len(targets), m.batch*m.seqLen)
	}
	out := make([]float32, len(inputs))
	for i, in := range inputs {
		if targets[i] == Ignored {
			continue
		}
		out[i] = float32(m.at(in, targets[i], i%m.seqLen == 0))
	}
	return out, nil
}

func (m *bigram) at(in, target uint32, first bool) float64 {
	v := m.loss[int(in)*m.vocab+int(target)]
	if first {
		v += firstPosition
	}
	return float64(v)
}

func randomDocs(seed uint64, n, maxLen, vocab int) [][]uint32 {
	r := rand.New(rand.NewPCG(seed, 9))
	docs := make([][]uint32, n)
	for i := range docs {
		docs[i] = make([]uint32, 1+r.IntN(maxLen))
		for j := range docs[i] {
			docs[i][j] = uint32(r.IntN(vocab))
		}
	}
	return docs
}

// each yields the items, and then err if there is one.
func each[T any](items []T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
		if err != nil {
			var zero T
			yield(zero, err)
		}
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*(1+math.Abs(want)) {
		t.Errorf("%s = %.12g, want %.12g", what, got, want)
	}
}
