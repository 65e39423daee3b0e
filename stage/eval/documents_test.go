package eval

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"steplm/model"
)

// masked is a Model that keeps what it was asked.
type masked struct {
	*bigram
	seen   map[string]bool
	stream []uint32
	starts []int // of each stream position's document
	at     int   // windows so far
	stride int
}

func (m *masked) Documents() model.Documents { return model.Documents{Mask: model.MaskDocuments} }

func (m *masked) Losses(inputs, targets, begins []uint32) ([]float32, error) {
	if len(begins) != len(inputs) {
		m.t.Fatalf("%d begins of %d inputs", len(begins), len(inputs))
	}
	for b := 0; b < len(inputs); b += m.seqLen {
		from := m.at * m.stride
		m.at++
		last := uint32(0)
		for i := range m.seqLen {
			want := last // padding is of the last document
			if from+i < len(m.stream)-1 {
				want = uint32(max(0, m.starts[from+i]-from))
			}
			if begins[b+i] != want {
				m.t.Fatalf("window at %d: the document of position %d begins at %d, want %d", from, i, begins[b+i],
					want)
			}
			if last = want; i == 0 && from < len(m.stream) && m.starts[from] < from {
				m.seen["inside"] = true
			}
			m.seen["begins"] = m.seen["begins"] || want > 0
		}
		if from+m.seqLen >= len(m.stream)-1 {
			m.at = 1 << 20 // what follows is empty
		}
	}
	return m.bigram.Losses(inputs, targets, begins)
}

// A masked model hears where each window's documents begin, also where windows overlap, where one begins inside a
// document and where one is padded; the result says that it is masked, and JSON keeps it.
func TestPerplexityOfDocuments(t *testing.T) {
	docs := randomDocs(8, 30, 11, 7)
	docs = append(docs, slices.Concat(docs[:8]...), []uint32{3}, []uint32{4}, []uint32{3}) // a long one and tiny ones
	var stream []uint32
	var starts []int
	for _, d := range docs {
		begin := len(stream)
		stream = append(stream, d...)
		for range d {
			starts = append(starts, begin)
		}
	}
	for _, o := range []Options{{}, {Stride: 1}, {Stride: 4}, {Stride: 9, Context: 9}, {MaxTokens: 40, Stride: 5}} {
		t.Run(fmt.Sprint(o.Stride, o.MaxTokens), func(t *testing.T) {
			m := &masked{bigram: newBigram(t, 2, 9, 7), stream: stream, starts: starts, stride: 9,
				seen: map[string]bool{}}
			if o.Stride > 0 {
				m.stride = o.Stride
			}
			r, err := Perplexity(context.Background(), m, each(docs, nil), o)
			if err != nil {
				t.Fatal(err)
			}
			if !m.seen["inside"] || !m.seen["begins"] {
				t.Errorf("windows that begin inside a document and in which one begins: %v", m.seen)
			}
			if got := r.result("x").Protocol.Mask; got != model.MaskDocuments {
				t.Errorf("the protocol's mask is %q", got)
			}
		})
	}
}
