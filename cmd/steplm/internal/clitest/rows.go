package clitest

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"steplm/data/datatest"
)

// ScoredShard writes 40 documents in row groups of 4, with scores 0 to 4 and
// every second one French.
func ScoredShard(t *testing.T, path string) {
	t.Helper()
	var rows []datatest.Row
	for i := range 40 {
		rows = append(rows, datatest.Row{
			Text:  fmt.Sprintf("document %d. %s", i, strings.Repeat(Text, 1+i%3)),
			Score: float64(i % 5), Language: []string{"en", "fr"}[i%2],
		})
	}
	if err := datatest.WriteShard(path, rows, datatest.WriteOptions{Codec: "none", RowGroup: 4}); err != nil {
		t.Fatal(err)
	}
}

// DamageText overwrites the length of a text in a shard that is not compressed.
func DamageText(t *testing.T, path, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte(text))
	if at < 4 {
		t.Fatalf("no %q in %s", text, path)
	}
	copy(b[at-4:], []byte{0xFF, 0xFF, 0xFF, 0x7F})
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
