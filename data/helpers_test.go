package data

import (
	"fmt"
	"iter"
	"path/filepath"
	"testing"

	"steplm/data/datatest"
)

// byteTokenizer has one id per byte, and 256 for the end of a text.
type byteTokenizer struct{}

const byteEOT = 256

func (byteTokenizer) Encode(s string) ([]uint32, error) {
	ids := make([]uint32, len(s))
	for i := range len(s) {
		ids[i] = uint32(s[i])
	}
	return ids, nil
}
func (byteTokenizer) VocabSize() int            { return 257 }
func (byteTokenizer) EndOfText() (uint32, bool) { return byteEOT, true }

// stream is the packed stream of texts.
func stream(texts ...string) []uint32 {
	var ids []uint32
	for _, s := range texts {
		for i := range len(s) {
			ids = append(ids, uint32(s[i]))
		}
		ids = append(ids, byteEOT)
	}
	return ids
}

// shardsOf writes each slice of texts as a shard and opens them.
func shardsOf(t testing.TB, perShard ...[]string) *Shards {
	t.Helper()
	dir := t.TempDir()
	for i, s := range perShard {
		if err := datatest.WriteShard(filepath.Join(dir, fmt.Sprintf("%03d.parquet", i)), datatest.RowsOf(s),
			datatest.WriteOptions{RowGroup: 4}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func collect(t testing.TB, docs iter.Seq2[Document, error]) []Document {
	t.Helper()
	var all []Document
	for d, err := range docs {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func textsOf(docs []Document) []string {
	var all []string
	for _, d := range docs {
		all = append(all, d.Text)
	}
	return all
}

// loaderOf makes a Loader of one source.
func loaderOf(s *Shards, t Tokenizer, o Options) (*Loader, error) {
	return NewMixture([]Source{{Shards: s, Weight: 1}}, t, o)
}
