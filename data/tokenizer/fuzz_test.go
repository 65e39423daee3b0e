package tokenizer

import (
	"os"
	"slices"
	"testing"
)

// A tokenizer.json of any bytes is a tokenizer that encodes and decodes, or an
// error, never a panic.
func FuzzTokenizerJSON(f *testing.F) {
	for _, path := range []string{trainedPath, "testdata/sentencepiece/tokenizer.json"} {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte(`{"model":{"type":"BPE","vocab":{},"merges":[]}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		def, err := parse(content)
		if err != nil {
			return
		}
		tok, err := def.compile()
		if err != nil {
			return
		}
		if _, err := tok.Decode(encode(t, tok, "The cat's 12 \u00e9\u4e2d <|endoftext|>\r\n")); err != nil {
			t.Fatal(err)
		}
		saved, err := tok.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(saved)
		if err != nil {
			t.Fatalf("what is saved is not read: %v", err)
		}
		other, err := again.compile()
		if err != nil || other.Hash() != tok.Hash() {
			t.Fatalf("saving changes the tokenizer: %v", err)
		}
	})
}

// What words are remembered changes no ids: a tokenizer that has seen other text
// gives those of one that has seen none.
func FuzzRememberedWords(f *testing.F) {
	f.Add("the the the cat", "the cats the")
	used := mustLoad(f, trainedPath)
	f.Fuzz(func(t *testing.T, before, text string) {
		encode(t, used, before)
		got := encode(t, used, text)
		fresh := *used
		fresh.known = wordsPool()
		if want := encode(t, &fresh, text); !slices.Equal(got, want) {
			t.Fatalf("after %q, Encode(%q) = %v, alone %v", before, text, got, want)
		}
	})
}
