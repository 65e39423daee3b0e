package subword

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// trained is the model of the trained tokenizer, of bytes.
func trained(t testing.TB) *BPE {
	t.Helper()
	content, err := os.ReadFile("../../testdata/trained/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Model json.RawMessage }
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	m, err := Read(file.Model)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.(*BPE).Options().Compile(true)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The heap and the scan agree, and both follow the definition, on words around the length where one takes over.
func TestLongWordsMergeAsShortOnes(t *testing.T) {
	b := trained(t)
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := "aaeehtnstr. "
	for n := 1; n <= ShortWord; n++ {
		for range 40 {
			word := make([]byte, n)
			for i := range word {
				word[i] = alphabet[rng.IntN(len(alphabet))]
			}
			short, long := b.encodeShort(nil, string(word)), b.encodeLong(nil, string(word))
			want := mergeByDefinition(b, string(word))
			if !slices.Equal(short, want) || !slices.Equal(long, want) {
				t.Fatalf("%q\nshort %v\nlong  %v\nwant  %v", word, short, long, want)
			}
		}
	}
}

// mergeByDefinition searches the whole word for the lowest rank again and again.
func mergeByDefinition(b *BPE, word string) []uint32 {
	ids := b.symbols(nil, word)
	for {
		best, at := noMerge, -1
		for i := range len(ids) - 1 {
			if m := b.merge(ids[i], ids[i+1]); m < best {
				best, at = m, i
			}
		}
		if at < 0 {
			return ids
		}
		ids = slices.Replace(ids, at, at+2, best.id())
	}
}

// A long word of which nothing is in the vocabulary is dropped as a short one is, where the model has nothing for the
// unknown.
func TestWordsOfNothingKnownAreDropped(t *testing.T) {
	b, err := BPEOptions{Vocab: map[string]uint32{"a": 0, "b": 1, "ab": 2},
		Merges: [][2]string{{"a", "b"}}}.Compile(false)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, ShortWord} {
		if ids, err := b.Append(nil, strings.Repeat("\u00e9", n)); err != nil || len(ids) != 0 {
			t.Errorf("%d runes: %v, %v", n, ids, err)
		}
	}
}
