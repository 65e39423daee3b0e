package tokenizer

import (
	"encoding/json"
	"slices"
	"testing"
)

// A .model with Unigram and remove_extra_whitespaces gives SentencePiece's ids, and so does what is saved of it.
func TestUnigramModelGolden(t *testing.T) {
	var cases map[string]json.RawMessage
	if err := json.Unmarshal([]byte(readFile(t, "testdata/sentencepiece/unigram.json")), &cases); err != nil {
		t.Fatal(err)
	}
	var texts []string
	if err := json.Unmarshal(cases["texts"], &texts); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"unigram", "unigram-bytes"} {
		var want [][]uint32
		if err := json.Unmarshal(cases[name], &want); err != nil {
			t.Fatal(err)
		}
		tok := mustLoad(t, "testdata/sentencepiece/"+name+".model")
		dir := t.TempDir()
		if err := tok.Save(dir); err != nil {
			t.Fatal(err)
		}
		for _, tok := range []*Tokenizer{tok, mustLoad(t, dir)} {
			for i, text := range texts {
				if got := encode(t, tok, text); !slices.Equal(got, want[i]) {
					t.Errorf("%s: Encode(%q)\n got %v\nwant %v", name, text, got, want[i])
				}
			}
		}
	}
}
