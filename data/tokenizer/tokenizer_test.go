package tokenizer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"steplm/data/datatest"
	"steplm/data/tokenizer/internal/runes"
)

// losslessTokenizers are the trained tokenizer and its variants whose decoding gives back the text.
func losslessTokenizers(t testing.TB) []*Tokenizer {
	var list []*Tokenizer
	for _, v := range loadCases(t).Variants {
		if v.Name != "prefix space" && v.Name != "nfc and added" && v.Name != "nfkc" {
			list = append(list, mustLoad(t, patched(t, v.Patch)))
		}
	}
	return list
}

func checkRoundTrip(t rapid.TB, tok *Tokenizer, text string) {
	ids := encode(t, tok, text)
	for _, id := range ids {
		if int(id) >= tok.VocabSize() {
			t.Fatalf("Encode(%q) has id %d beyond the vocabulary of %d", text, id, tok.VocabSize())
		}
	}
	if back, err := tok.Decode(ids); err != nil || back != runes.ReplaceInvalid(text) {
		t.Fatalf("%q became %q, %v", text, back, err)
	}
}

func TestRoundTrip(t *testing.T) {
	tokenizers := losslessTokenizers(t)
	words := rapid.SampledFrom([]string{"the", "'s", "'LL", " ", "  ", "\n", "\r\n", "<|endoftext|>", "<|", "🙂",
		"e\u0301", "中", "123", "\x00", "\ufffd"})
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(words),
		func(w []string) string { return strings.Join(w, "") }))
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		for _, tok := range tokenizers {
			checkRoundTrip(t, tok, s)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	for _, text := range loadCases(f).Texts {
		f.Add(text)
	}
	f.Add("\xff\xe2\x82 broken \xf0\x9f\x98")
	tokenizers := losslessTokenizers(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range tokenizers {
			checkRoundTrip(t, tok, text)
		}
	})
}

// checkLongWords encodes words of about 1 MiB, in time, and decodes them back.
func checkLongWords(t *testing.T, tok *Tokenizer, words map[string]string) {
	t.Helper()
	for name, text := range words {
		start := time.Now()
		ids := encode(t, tok, text)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: %v for a word of 1 MiB", name, took)
		}
		if back, err := tok.Decode(ids); err != nil || back != text {
			t.Errorf("%s: the word did not come back (%v)", name, err)
		}
	}
}

// A megabyte without a space takes time in proportion to its length: quadratic merging would need hours.
func TestMegabyteWord(t *testing.T) {
	tok := mustLoad(t, trainedPath)
	rng := rand.New(rand.NewPCG(3, 4))
	random := make([]byte, 1<<20)
	for i := range random {
		random[i] = "abcdefghijklmnopqrstuvwxyz"[rng.IntN(26)]
	}
	checkLongWords(t, tok, map[string]string{"random": string(random), "equal": strings.Repeat("a", 1<<20),
		"the": strings.Repeat("the", 1<<20/3)})
	start := time.Now()
	if _, err := Train(func(yield func(string, error) bool) { yield(string(random), nil) },
		TrainOptions{VocabSize: 1000}); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 60*time.Second {
		t.Errorf("training on a word of 1 MiB took %v", took)
	}
}

func TestConcurrentEncode(t *testing.T) {
	cases := loadCases(t)
	tok := mustLoad(t, trainedPath)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i, text := range cases.Texts {
				if !slices.Equal(encode(t, tok, text), cases.Variants[0].IDs[i]) {
					t.Errorf("Encode(%q) differs when called concurrently", text)
				}
			}
		})
	}
	group.Wait()
}

func TestDecodeUnknownID(t *testing.T) {
	tok := mustLoad(t, trainedPath)
	_, err := tok.Decode([]uint32{5, 1200})
	if want := "tokenizer: id 1200 at position 1 is not below the vocabulary size 1200"; err == nil ||
		err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
	if _, err := tok.Decode([]uint32{1<<32 - 1}); err == nil {
		t.Error("id 2^32-1 was decoded")
	}
}

func TestEndOfText(t *testing.T) {
	for _, c := range []struct {
		added []addedToken
		want  uint32
		ok    bool
	}{
		{nil, 0, false},
		{[]addedToken{{ID: 1200, Content: "<pad>"}}, 0, false},
		{[]addedToken{{ID: 1200, Content: "</s>"}, {ID: 1201, Content: "<|end_of_text|>"}}, 1200, true},
		{[]addedToken{{ID: 1200, Content: "<|end_of_text|>"}, {ID: 1201, Content: "</s>"}}, 1201, true},
		{[]addedToken{{ID: 1200, Content: "</s>"}, {ID: 0, Content: "<|endoftext|>"}}, 0, true},
	} {
		tok := mustLoad(t, patched(t, map[string]json.RawMessage{"added_tokens": marshal(t, c.added)}))
		if id, ok := tok.EndOfText(); id != c.want || ok != c.ok {
			t.Errorf("%v: EndOfText() = %d, %v, want %d, %v", c.added, id, ok, c.want, c.ok)
		}
	}
}

func marshal(t testing.TB, v any) json.RawMessage {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestHashTellsTokenizersApart(t *testing.T) {
	seen := map[string]string{}
	for _, v := range loadCases(t).Variants {
		if v.Name == "gpt2 split" { // the same words by the other way to write the pattern
			continue
		}
		hash := mustLoad(t, patched(t, v.Patch)).Hash()
		if len(hash) != 64 || seen[hash] != "" {
			t.Errorf("%s has the hash %s, and so has %q", v.Name, hash, seen[hash])
		}
		seen[hash] = v.Name
	}
}

func BenchmarkEncode(b *testing.B) {
	tok := mustLoad(b, trainedPath)
	text := readFile(b, "testdata/corpus.txt")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		encode(b, tok, text)
	}
}

func BenchmarkEncodeGPT2(b *testing.B) {
	tok := mustLoad(b, datatest.Path(b, "tokenizers/gpt2"))
	text := readFile(b, datatest.Path(b, "wikitext/wiki.test.raw"))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		encode(b, tok, text)
	}
}

func BenchmarkTrain(b *testing.B) {
	text := readFile(b, datatest.Path(b, "wikitext/wiki.test.raw"))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Train(corpus(text), TrainOptions{VocabSize: 8192}); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleTrain() {
	texts := func(yield func(string, error) bool) {
		yield("low low low lower lower newest newest newest widest", nil)
	}
	tok, err := Train(texts, TrainOptions{VocabSize: 262})
	if err != nil {
		fmt.Println(err)
		return
	}
	ids, err := tok.Encode("lowest<|endoftext|>")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := tok.Decode(ids)
	fmt.Println(ids, text, err)
	// Output: [257 258 259 0] lowest<|endoftext|> <nil>
}
