package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// bruteForce scores token by token: for each token of the stream, the first
// window start k*stride whose window reaches it, and whether the token before
// it is that window's first position.
func bruteForce(m *bigram, stream []uint32, context, stride int, limit int64) (nll float64, tokens int64) {
	for i := 1; i < len(stream); i++ {
		if limit > 0 && tokens == limit {
			break
		}
		start := 0
		for i > start+context {
			start += stride
		}
		nll += m.at(stream[i-1], stream[i], i-1 == start)
		tokens++
	}
	return nll, tokens
}

func TestPerplexityAgainstBruteForce(t *testing.T) {
	docs := randomDocs(3, 9, 30, 7)
	stream := slices.Concat(docs...)
	for _, batch := range []int{1, 3} {
		for _, context := range []int{1, 2, 5, 8} {
			for stride := 1; stride <= context; stride++ {
				for _, limit := range []int64{0, 1, 4, 5, 6, 17, int64(len(stream)) - 1, int64(len(stream)) + 5} {
					m := newBigram(t, batch, 8, 7)
					name := fmt.Sprintf("batch %d context %d stride %d limit %d", batch, context, stride, limit)
					r, err := Perplexity(t.Context(), m, each(docs, nil), Options{Context: context, Stride: stride,
						MaxTokens: limit})
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					nll, tokens := bruteForce(m, stream, context, stride, limit)
					if r.Tokens != tokens {
						t.Fatalf("%s: %d tokens, want %d", name, r.Tokens, tokens)
					}
					near(t, name+": nll", r.NLL, nll)
					near(t, name+": perplexity", r.Perplexity, math.Exp(nll/float64(tokens)))
					if r.Context != context || r.Stride != stride {
						t.Fatalf("%s: protocol context %d stride %d", name, r.Context, r.Stride)
					}
				}
			}
		}
	}
}

// The cut into documents must not show, nor must their number of tokens per push.
func TestPerplexityIgnoresDocumentCuts(t *testing.T) {
	docs := randomDocs(5, 20, 11, 7)
	m := newBigram(t, 2, 6, 7)
	many, err := Perplexity(t.Context(), m, each(docs, nil), Options{})
	if err != nil {
		t.Fatal(err)
	}
	one, err := Perplexity(t.Context(), m, each([][]uint32{slices.Concat(docs...)}, nil), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if many.Documents != 20 || one.Documents != 1 {
		t.Errorf("documents %d and %d, want 20 and 1", many.Documents, one.Documents)
	}
	if many.NLL != one.NLL || many.Tokens != one.Tokens {
		t.Errorf("20 documents give %v over %d, one gives %v over %d", many.NLL, many.Tokens, one.NLL, one.Tokens)
	}
}

func TestPerplexityStopsReading(t *testing.T) {
	docs := randomDocs(5, 50, 11, 7)
	m := newBigram(t, 2, 6, 7)
	r, err := Perplexity(t.Context(), m, each(docs, errors.New("must not be read this far")), Options{MaxTokens: 20})
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(math.Ceil(20.0 / 12)); int64(m.calls) != want {
		t.Errorf("%d batches for 20 tokens, want %d", m.calls, want)
	}
	if r.Documents >= 20 {
		t.Errorf("read %d documents for 20 tokens", r.Documents)
	}
}

func TestPerplexityProgress(t *testing.T) {
	var heard []int64
	m := newBigram(t, 2, 4, 7)
	docs := [][]uint32{make([]uint32, 20)} // 19 targets: windows of 4 4 4 4 3
	if _, err := Perplexity(t.Context(), m, each(docs, nil),
		Options{Progress: func(n int64, _ float64) { heard = append(heard, n) }}); err != nil {
		t.Fatal(err)
	}
	if want := []int64{8, 16, 19}; !slices.Equal(heard, want) {
		t.Errorf("progress %v, want %v", heard, want)
	}
}

func TestEncodedAppendsEndOfText(t *testing.T) {
	shared := []uint32{1, 2, 3, 4}
	encode := func(s string) ([]uint32, error) { return shared[:len(s)], nil }
	var got []uint32
	for ids, err := range Encoded(each([]string{"ab", "", "abc"}, nil), encode, 9) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids...)
	}
	if want := []uint32{1, 2, 9, 9, 1, 2, 3, 9}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if want := []uint32{1, 2, 3, 4}; !slices.Equal(shared, want) {
		t.Errorf("the tokenizer's ids were overwritten: %v, want %v", shared, want)
	}
}

// broken is a Model that gives one prepared answer.
type broken struct {
	*bigram
	answer func(losses []float32) ([]float32, error)
}

func (b broken) Losses(inputs, targets, begins []uint32) ([]float32, error) {
	losses, err := b.bigram.Losses(inputs, targets, begins)
	if err != nil {
		return nil, err
	}
	return b.answer(losses)
}

func TestPerplexityErrors(t *testing.T) {
	docs := randomDocs(5, 20, 11, 7)
	ok := func(l []float32) ([]float32, error) { return l, nil }
	set := func(v float32) func([]float32) ([]float32, error) {
		return func(l []float32) ([]float32, error) { l[5] = v; return l, nil }
	}
	lost, damaged := errors.New("device lost"), errors.New("shard damaged")
	cases := []struct {
		name   string
		answer func([]float32) ([]float32, error)
		docs   [][]uint32
		read   error
		o      Options
		want   string
		is     error
	}{
		{name: "context beyond the model", answer: ok, docs: docs, o: Options{Context: 9},
			want: "context 9 is not within 1..8"},
		{name: "negative context", answer: ok, docs: docs, o: Options{Context: -1}, want: "context -1"},
		{name: "stride beyond the context", answer: ok, docs: docs, o: Options{Context: 4, Stride: 5},
			want: "stride 5 is not within 1..4"},
		{name: "negative limit", answer: ok, docs: docs, o: Options{MaxTokens: -2}, want: "-2 tokens"},
		{name: "empty", answer: ok, want: "fewer than two tokens"},
		{name: "one token", answer: ok, docs: [][]uint32{{1}}, want: "fewer than two tokens"},
		{name: "shard unreadable", answer: ok, docs: docs, read: damaged, want: "shard damaged", is: damaged},
		{name: "device", answer: func([]float32) ([]float32, error) { return nil, lost }, docs: docs,
			want: "device lost", is: lost},
		{name: "too few losses", answer: func(l []float32) ([]float32, error) { return l[1:], nil }, docs: docs,
			want: "15 losses for 16 targets"},
		{name: "NaN", answer: set(float32(math.NaN())), docs: docs, want: "scored token 5", is: ErrNotFinite},
		{name: "infinite", answer: set(float32(math.Inf(1))), docs: docs, want: "+Inf", is: ErrNotFinite},
		{name: "overflow", answer: set(math.MaxFloat32), docs: docs, want: "diverged", is: ErrNotFinite},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := broken{newBigram(t, 2, 8, 7), c.answer}
			_, err := Perplexity(t.Context(), m, each(c.docs, c.read), c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
		})
	}
}

func TestPerplexityIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := newBigram(t, 2, 8, 7)
	if _, err := Perplexity(ctx, m, each(randomDocs(5, 20, 11, 7), nil), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if m.calls != 0 {
		t.Errorf("the model was asked %d times after the cancellation", m.calls)
	}
}
