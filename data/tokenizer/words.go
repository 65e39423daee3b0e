package tokenizer

import (
	"hash/maphash"
	"strings"
	"sync"

	"steplm/data/tokenizer/internal/subword"
)

const (
	// knownWords is how many words are remembered at a time, knownIDs how many ids
	// of each: under 1 MB for each goroutine that encodes.
	knownWords = 1 << 14
	knownIDs   = 5
)

// words remembers what words were encoded to. Text repeats its words so often
// that a small table saves most of the merging.
type words struct {
	seed  maphash.Seed // which words push out which, and nothing else
	known [knownWords]knownWord
}

type knownWord struct {
	word string // "": none
	n    int
	ids  [knownIDs]uint32
}

// wordsPool keeps tables between texts.
func wordsPool() *sync.Pool {
	return &sync.Pool{New: func() any { return &words{seed: maphash.MakeSeed()} }}
}

// append is the model's Append by way of the table.
func (w *words) append(m subword.Model, ids []uint32, word string) ([]uint32, error) {
	if len(word) > subword.ShortWord {
		return m.Append(ids, word)
	}
	k := &w.known[maphash.String(w.seed, word)%knownWords]
	if k.word == word {
		return append(ids, k.ids[:k.n]...), nil
	}
	start := len(ids)
	ids, err := m.Append(ids, word)
	if n := len(ids) - start; err == nil && n <= knownIDs {
		k.word, k.n = strings.Clone(word), copy(k.ids[:], ids[start:])
	}
	return ids, err
}
