package data

import (
	"errors"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func docsOf(texts ...string) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		for i, s := range texts {
			if !yield(Document{Text: s, Row: int64(i)}, nil) {
				return
			}
		}
	}
}

func TestWindowsTable(t *testing.T) {
	var got []Window
	for w, err := range Windows(docsOf("abc", "", "de"), byteTokenizer{}, 3) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, w)
	}
	want := []Window{ // a b c <eot> <eot> d e <eot>
		{[]uint32{'a', 'b', 'c'}, []uint32{'b', 'c', 256}, 3},
		{[]uint32{256, 256, 'd'}, []uint32{256, 'd', 'e'}, 3},
		{[]uint32{'e', 256, 256}, []uint32{256, Ignored, Ignored}, 1},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWindowsLoseNothing(t *testing.T) {
	all := texts("doc", 30)
	ids := stream(all...)
	for _, seqLen := range []int{1, 2, 7, 64, len(ids) - 2, len(ids) - 1, len(ids), len(ids) + 5} {
		var targets []uint32
		previous := ids[0]
		for w, err := range Windows(docsOf(all...), byteTokenizer{}, seqLen) {
			if err != nil {
				t.Fatal(err)
			}
			if len(w.Inputs) != seqLen || len(w.Targets) != seqLen || w.Inputs[0] != previous {
				t.Fatalf("T=%d: a window of %d inputs and %d targets starts with %d, want %d", seqLen, len(w.Inputs), len(w.Targets), w.Inputs[0], previous)
			}
			if !slices.Equal(w.Inputs[1:w.Tokens], w.Targets[:w.Tokens-1]) {
				t.Fatalf("T=%d: targets are not the inputs moved by one", seqLen)
			}
			for _, id := range w.Targets[w.Tokens:] {
				if id != Ignored {
					t.Fatalf("T=%d: target %d behind the end", seqLen, id)
				}
			}
			targets = append(targets, w.Targets[:w.Tokens]...)
			previous = w.Targets[w.Tokens-1]
		}
		if !slices.Equal(targets, ids[1:]) {
			t.Fatalf("T=%d: the targets are not the stream", seqLen)
		}
	}
}

func TestWindowsRefuses(t *testing.T) {
	broken := errors.New("broken")
	failing := func(yield func(Document, error) bool) { yield(Document{}, broken) }
	for _, tt := range []struct {
		name   string
		docs   iter.Seq2[Document, error]
		t      Tokenizer
		seqLen int
		want   string
	}{
		{"no documents", docsOf(), byteTokenizer{}, 4, "0 tokens"},
		{"one token", docsOf(""), byteTokenizer{}, 4, "1 tokens"},
		{"sequence length", docsOf("abc"), byteTokenizer{}, 0, "sequence length 0"},
		{"reading fails", failing, byteTokenizer{}, 4, "broken"},
		{"no end of text", docsOf("abc"), noEOT{}, 4, "end-of-text"},
		{"id too large", docsOf("abc", "xyz"), smallVocab{}, 4, "row 1: token 1 has id 121, beyond the vocabulary of 121"},
	} {
		n := 0
		var last error
		for _, err := range Windows(tt.docs, tt.t, tt.seqLen) {
			if n++; n > 10 {
				t.Fatalf("%s: the sequence goes on after the error", tt.name)
			}
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), tt.want) {
			t.Errorf("%s: error %v does not say %q", tt.name, last, tt.want)
		}
	}
}

type noEOT struct{ byteTokenizer }

func (noEOT) EndOfText() (uint32, bool) { return 0, false }

// smallVocab declares fewer ids than it gives.
type smallVocab struct{ byteTokenizer }

func (smallVocab) VocabSize() int            { return 'y' }
func (smallVocab) EndOfText() (uint32, bool) { return 0, true }

func TestUnigramPerplexity(t *testing.T) {
	counts, err := CountTokens(docsOf("aab", "b"), byteTokenizer{})
	if err != nil {
		t.Fatal(err)
	}
	if counts['a'] != 2 || counts['b'] != 2 || counts[byteEOT] != 2 || len(counts) != 257 {
		t.Fatalf("counts a %d, b %d, end %d of %d", counts['a'], counts['b'], counts[byteEOT], len(counts))
	}
	// Held out: b a z <eot>; b is no target. p = 3/263, 1/263, 3/263.
	got, n, err := UnigramPerplexity(counts, docsOf("baz"), byteTokenizer{})
	if err != nil {
		t.Fatal(err)
	}
	want := math.Pow(3.0/263*1.0/263*3.0/263, -1.0/3)
	if n != 3 || math.Abs(got/want-1) > 1e-12 {
		t.Errorf("perplexity %v over %d targets, want %v over 3", got, n, want)
	}
	// Knowing nothing at all: the vocabulary's size.
	if got, _, err := UnigramPerplexity(make([]int64, 257), docsOf("hello"), byteTokenizer{}); err != nil || math.Abs(got-257) > 1e-9 {
		t.Errorf("perplexity %v, error %v, want 257", got, err)
	}
}

func TestUnigramRefuses(t *testing.T) {
	for name, f := range map[string]func() error{
		"vocabulary": func() error {
			_, _, err := UnigramPerplexity(make([]int64, 5), docsOf("x"), byteTokenizer{})
			return err
		},
		"0 tokens": func() error {
			_, _, err := UnigramPerplexity(make([]int64, 257), docsOf(), byteTokenizer{})
			return err
		},
		"beyond the vocabulary": func() error { _, err := CountTokens(docsOf("xyz"), smallVocab{}); return err },
		"end-of-text":           func() error { _, err := CountTokens(docsOf("x"), noEOT{}); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not say %q", err, name)
		}
	}
}
