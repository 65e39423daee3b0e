package main

import (
	"fmt"
	"os"

	"steplm/data"
)

// FilterFlags say which rows of the training shards are left out.
type FilterFlags struct {
	MinScore *float64 `placeholder:"X" help:"Least value of the column score, such as 3 in FineWeb-Edu."`
	Language []string `placeholder:"CODE" help:"Values of the column language to keep, such as en; several with commas."`
	MinChars int64    `placeholder:"N" help:"Least number of characters of a document."`
	MaxChars int64    `placeholder:"N" help:"Largest number of characters of a document."`
	Dedupe   bool     `help:"Leave out texts that came before in the same epoch, among the last 8 million or so (128 MiB). Resuming reads the epoch's beginning again."`
	SkipBad  bool     `help:"Skip damaged row groups and files, count and name them, instead of stopping. Reads each row group twice the first time."`
}

// open opens shards with the filters; what is skipped is said on standard error.
func (f FilterFlags) open(pattern string) (*data.Shards, error) {
	return data.OpenWith(pattern, data.OpenOptions{
		Filter: data.Filter{
			MinScore: f.MinScore, Languages: f.Language,
			MinChars: f.MinChars, MaxChars: f.MaxChars, Dedupe: f.Dedupe,
		},
		SkipBad: f.SkipBad,
		Log:     func(message string) { fmt.Fprintln(os.Stderr, "steplm: warning:", message) },
	})
}

// describeRows says what became of the rows that a run read.
func describeRows(s data.Stats, badFiles int) string {
	text := fmt.Sprintf("%s rows read: %s documents, %s null, %s skipped, %s filtered", count(s.Rows), count(s.Documents), count(s.Nulls), count(s.Skipped), count(s.Filtered()))
	if s.Filtered() > 0 {
		text += fmt.Sprintf(" (%s by score, %s by language, %s short, %s long, %s duplicates)",
			count(s.LowScore), count(s.Language), count(s.Short), count(s.Long), count(s.Duplicate))
	}
	if badFiles > 0 {
		text += fmt.Sprintf("; %d files skipped", badFiles)
	}
	return text + fmt.Sprintf("; %s tokens seen, in epoch %d", count(s.Tokens), s.Epoch+1)
}
