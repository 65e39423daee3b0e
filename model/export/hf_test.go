package export_test

import (
	"strings"
	"testing"

	"steplm/data/tokenizer"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/export"
)

// What config.json could not say is refused before a run begins.
func TestHuggingFaceCheck(t *testing.T) {
	tok, err := tokenizer.Load("../../data/tokenizer/testdata/trained/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	c := model.Config{Hidden: 16, FFN: 24, Layers: 2, Heads: 4, KVHeads: 2, Vocab: tok.VocabSize(), MaxSeqLen: 32,
		NormEps: 1e-5, RopeTheta: 10000}
	end, ok := tok.EndOfText()
	if !ok {
		t.Fatal("the tokenizer has no end of text")
	}
	id := int(end)
	text, m := export.Text{Tokenizer: tok, EOS: &id}, export.Model{Config: c, DType: checkpoint.F32}
	if err := (export.HuggingFace{}).Check(m, text, export.Options{}); err != nil {
		t.Error(err)
	}
	m.Config.Vocab = int(end)
	if err := (export.HuggingFace{}).Check(m, text, export.Options{}); err == nil ||
		!strings.Contains(err.Error(), "vocab") {
		t.Errorf("a vocabulary without the end of a text: %v", err)
	}
}
