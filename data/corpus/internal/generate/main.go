// Command generate writes the embedded corpus: run it by `go generate` in
// data/corpus after a change of internal/prose, and commit what it writes.
package main

import (
	"crypto/sha256"
	"fmt"
	"log"
	"math"
	"strings"

	"steplm/data"
	"steplm/data/corpus/internal/prose"
)

func main() {
	log.SetFlags(0)
	train, heldOut, err := prose.Corpus()
	if err != nil {
		log.Fatal(err)
	}
	half := len(train) / 2
	for _, shard := range []struct {
		name string
		docs []prose.Document
	}{
		{"train-00000.parquet", train[:half]},
		{"train-00001.parquet", train[half:]},
		{"validation.parquet", heldOut},
	} {
		rows := make([]data.Row, len(shard.docs))
		for i, d := range shard.docs {
			rows[i] = row(d, fmt.Sprintf("%s/%d", strings.TrimSuffix(shard.name, ".parquet"), i))
		}
		// Small row groups, so that the demo crosses a few of their seams.
		if err := data.WriteShard(shard.name, rows, data.WriteOptions{Codec: "zstd", RowGroup: 100}); err != nil {
			log.Fatal(err)
		}
		log.Printf("%s: %d documents", shard.name, len(rows))
	}
}

// row gives a document FineWeb-Edu's other columns. Only the text matters to
// training; the rest follows from it and is plainly made up.
func row(d prose.Document, name string) data.Row {
	sum := sha256.Sum256([]byte(d.Text))
	score := 2.5 + float64(sum[16])/128 // 2.5 to 4.5
	return data.Row{
		Text:          d.Text,
		ID:            fmt.Sprintf("<urn:uuid:%x-%x-%x-%x-%x>", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]),
		Dump:          "steplm-demo",
		URL:           "https://steplm.invalid/" + d.Kind + "/" + name,
		FilePath:      "data/corpus/internal/prose/" + d.Kind,
		Language:      "en",
		LanguageScore: 1,
		TokenCount:    int64(len(strings.Fields(d.Text))), // words: no tokenizer is fixed here
		Score:         score,
		IntScore:      int64(math.Round(score)),
	}
}
