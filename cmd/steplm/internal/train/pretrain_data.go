package train

import (
	"fmt"
	"strings"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/data/examples"
	"steplm/stage/session"
)

// DataFlags say what a run reads, and how.
type DataFlags struct {
	Data []string `sep:"none" placeholder:"PATH[=WEIGHT]" help:"Training data: a directory, a glob or a file of Parquet, JSON Lines (.jsonl, .gz, .zst) or text, or hf://datasets/OWNER/NAME[/PATH][@REVISION], which is fetched. Several are mixed by their weights."`
	flags.FilterFlags
	flags.SourceFlags
	Stream bool `help:"Begin when the first Parquet file of an hf:// source is there, and fetch the others meanwhile."`
	flags.TokenFlags
}

// describeSources is a line for each source, and where its ids are from.
func describeSources(s *session.Session) (lines []string) {
	if x, ok := s.Tuned(); ok {
		return append(lines, describeExamples(s, x)...)
	}
	sources := s.Sources()
	for _, x := range sources {
		line := view.Plural(int64(len(x.Shards.Files)), "shard", "shards") + ", " +
			view.Plural(x.Shards.Rows(), "row", "rows")
		if len(sources) > 1 {
			line = fmt.Sprintf("%s: weight %g, %s", x.Name, x.Weight, line)
		}
		if x.Cache != nil {
			line += fmt.Sprintf("; %s tokens from the cache %s", view.Count(x.Cache.Info.Tokens), x.Cache.Dir)
		} else {
			line += "; tokenized on the fly (`steplm data tokenize` would keep the ids)"
		}
		lines = append(lines, line)
	}
	return lines
}

// describeExamples says what is learned from, and what of it is kept apart.
func describeExamples(s *session.Session, x session.Tuned) []string {
	left := ""
	if x.Train.Left != (examples.Left{}) {
		left = "; besides, " + x.Train.Left.String()
	}
	lines := []string{fmt.Sprintf("%s, %s in %s an epoch%s", view.Plural(int64(len(x.Train.Examples)), "example",
		"examples"), s.Spec.Tuning.Batching, view.Plural(int64(x.Windows), "window", "windows"), left)}
	if len(x.Train.Unread) > 0 {
		lines = append(lines, "keys that nobody reads: "+strings.Join(x.Train.Unread, ", "))
	}
	for _, part := range []struct {
		name string
		set  *examples.Set
	}{{"kept apart", x.HeldOut}, {"for validation", x.Validation}} {
		if part.set != nil {
			n := int64(len(part.set.Examples))
			lines = append(lines, fmt.Sprintf("%s %s", view.Plural(n, "example", "examples"), part.name))
		}
	}
	return lines
}

// describeRead says what became of the rows of each source.
func describeRead(s *session.Session) []string {
	if x, ok := s.Tuned(); ok {
		return []string{fmt.Sprintf("%s tokens of examples seen in %.3g epochs", view.Count(x.Seen), x.Epochs)}
	}
	sources := s.Sources()
	all, each := s.Stats()
	bad := 0
	for _, x := range sources {
		bad += x.Shards.BadFiles()
	}
	lines := []string{flags.DescribeRows(all, bad)}
	if len(sources) > 1 {
		for i, x := range each {
			lines = append(lines, sources[i].Name+": "+flags.DescribeRows(x, sources[i].Shards.BadFiles()))
		}
	}
	if names := s.SpecialNames(); names > 0 {
		lines = append(lines, flags.DescribeNames(names))
	}
	return lines
}
