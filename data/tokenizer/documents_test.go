package tokenizer

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
)

// The name of a special token in a document is ordinary text, and counted; Encode takes it for the token.
func TestDocumentsTakeNamesForText(t *testing.T) {
	tok := mustLoad(t, trainedPath)
	documents := NewDocuments(tok, DocumentOptions{})
	text := "a<|endoftext|>b <|endoftext|>"
	got, err := documents.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(got, 0) || documents.Names() != 2 {
		t.Errorf("ids %v, %d names", got, documents.Names())
	}
	if back, err := tok.Decode(got); err != nil || back != text {
		t.Errorf("decoded %q, %v", back, err)
	}
	if ids := encode(t, tok, text); !slices.Contains(ids, 0) {
		t.Errorf("Encode gives %v, without the token", ids)
	}
	plain := "nothing special"
	if ids := encode(t, tok, plain); !slices.Equal(ids, encodeDocument(t, documents, plain)) {
		t.Errorf("%q has other ids in a document", plain)
	}
	if documents.Hash() == tok.Hash() || len(documents.Hash()) != 64 {
		t.Errorf("hash %s, of the tokenizer %s", documents.Hash(), tok.Hash())
	}
	bare := mustLoad(t, patched(t, map[string]json.RawMessage{"added_tokens": json.RawMessage("[]")}))
	if NewDocuments(bare, DocumentOptions{}).Hash() != bare.Hash() {
		t.Error("without special tokens there is nothing to tell apart, but the hash differs")
	}
}

func encodeDocument(t testing.TB, d *Documents, text string) []uint32 {
	t.Helper()
	ids, err := d.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// The reported documents hold the name of a separator, which is none there.
func TestReportedNamesInDocuments(t *testing.T) {
	tok := mustLoad(t, datatest.Path(t, "reports/tok_smollm.json"))
	documents := NewDocuments(tok, DocumentOptions{})
	for line := range strings.Lines(readFile(t, datatest.Path(t, "reports/eot.jsonl"))) {
		var row struct{ Text string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if ids := encodeDocument(t, documents, row.Text); slices.Contains(ids, 0) {
			t.Errorf("%q has the separator among its ids: %v", row.Text, ids)
		}
	}
	if documents.Names() == 0 {
		t.Error("no names were counted")
	}
}

// A tokenizer whose post-processor puts a token first begins every document with it, if it is asked to.
func TestDocumentsBegin(t *testing.T) {
	tok := mustLoad(t, datatest.Path(t, "reports/c03_llama3_like_tokenizer.json"))
	begin, ok := tok.BeginOfText()
	if !ok || begin != 0 {
		t.Fatalf("begin of text %d, %v, want 0", begin, ok)
	}
	for line := range strings.Lines(readFile(t, datatest.Path(t, "reports/two_docs.jsonl"))) {
		var row struct{ Text string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		want := encodeWithSpecial(t, tok, row.Text)
		got := encodeDocument(t, NewDocuments(tok, DocumentOptions{Begin: true}), row.Text)
		if !slices.Equal(got, want) || got[0] != 0 {
			t.Errorf("%q: %v, want %v", row.Text, got, want)
		}
	}
	hashes := map[string]bool{}
	for _, o := range []DocumentOptions{{}, {Begin: true}, {ParseSpecial: true},
		{Begin: true, ParseSpecial: true}, {NoEnd: true}} {
		hashes[NewDocuments(tok, o).Hash()] = true
	}
	if len(hashes) != 5 || !hashes[tok.Hash()] {
		t.Errorf("hashes %v", hashes)
	}
	if _, ok := mustLoad(t, trainedPath).BeginOfText(); ok {
		t.Error("a tokenizer without such a post-processor has a beginning")
	}
}
