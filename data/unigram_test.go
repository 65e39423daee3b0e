package data

import (
	"iter"
	"math"
	"strings"
	"testing"
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
	if got, _, err := UnigramPerplexity(make([]int64, 257), docsOf("hello"), byteTokenizer{}); err != nil ||
		math.Abs(got-257) > 1e-9 {
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
