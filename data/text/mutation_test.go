package text_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"steplm/data"
	"steplm/data/datatest"
)

// Damaged compressed files give an error or every row; their checksums let
// nothing pass as other text.
func TestMutatedCompressedFiles(t *testing.T) {
	var rows []datatest.Row
	for _, s := range datatest.Texts("doc", 60) {
		rows = append(rows, datatest.Row{Text: s})
	}
	for _, name := range []string{"a.jsonl.gz", "a.jsonl.zst", "a.txt.gz", "a.txt.zst"} {
		path := filepath.Join(t.TempDir(), name)
		datatest.WritePacked(t, path, datatest.JSONLines(t, rows))
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		read := func() ([]data.Document, error) {
			s, err := data.Open(path)
			if err != nil {
				return nil, err
			}
			return datatest.All(s.Documents(data.Position{}))
		}
		want, err := read()
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(1, uint64(len(good))))
		failures, changed := 0, 0
		for range 150 {
			what, damaged := datatest.Mutate(rng, good)
			if bytes.Equal(damaged, good) {
				continue
			}
			if err := os.WriteFile(path, damaged, 0o644); err != nil {
				t.Fatal(err)
			}
			datatest.InTime(t, name+": "+what, func() {
				docs, err := read()
				if err != nil {
					failures++
					datatest.OneLine(t, path, err)
				} else if !slices.Equal(docs, want) {
					changed++
					t.Logf("%s: %s: unnoticed", name, what)
				}
			})
		}
		if failures < 120 || changed > 0 {
			t.Errorf("%s: %d errors, %d changed unnoticed", name, failures, changed)
		}
	}
}
