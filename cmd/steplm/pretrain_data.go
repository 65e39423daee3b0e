package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"steplm/data"
	"steplm/data/tokenizer"
	"steplm/stage/eval"
)

// DataFlags say what a run reads, and how.
type DataFlags struct {
	Data []string `required:"" sep:"none" placeholder:"PATH[=WEIGHT]" help:"Training data: a directory, a glob or a file of Parquet, JSON Lines (.jsonl, .gz, .zst) or text, or hf://datasets/OWNER/NAME[/PATH][@REVISION], which is fetched. Several are mixed by their weights."`
	FilterFlags
	SourceFlags
	Stream bool `help:"Begin when the first file of an hf:// source is there, and fetch the others meanwhile."`
	TokenFlags
}

// trainingData is what a run reads: one source or a mixture.
type trainingData struct {
	locations []*location
	sources   []data.Source
}

// splitWeight reads PATH or PATH=WEIGHT. What exists under its whole name is a
// path.
func splitWeight(s string) (path string, weight float64, given bool) {
	at := strings.LastIndexByte(s, '=')
	if at < 0 {
		return s, 1, false
	}
	if _, err := os.Stat(s); err == nil {
		return s, 1, false
	}
	w, err := strconv.ParseFloat(s[at+1:], 64)
	if err != nil {
		return s, 1, false
	}
	return s[:at], w, true
}

// open opens what --data names, with its caches. The seed is that of the order.
func (f DataFlags) open(ctx context.Context, json bool, seed uint64, tok *tokenizer.Tokenizer) (_ *trainingData, err error) {
	d := &trainingData{}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if err := f.SourceFlags.check(f.Stream, f.Data...); err != nil {
		return nil, err
	}
	for _, arg := range f.Data {
		path, weight, given := splitWeight(arg)
		switch {
		case path == "":
			return nil, usagef("--data is empty")
		case len(f.Data) > 1 && !given:
			return nil, usagef("--data %s: with several sources each has a weight, such as --data %s=0.5", arg, arg)
		case !(weight > 0) || math.IsInf(weight, 1):
			return nil, usagef("--data %s: the weight must be above 0", arg)
		}
		at, err := f.locate(ctx, path, f.Stream, json)
		if err != nil {
			return nil, err
		}
		d.locations = append(d.locations, at)
		shards, err := f.FilterFlags.open(at)
		if err != nil {
			return nil, err
		}
		cache, err := f.find(shards, tok)
		if err != nil {
			return nil, err
		}
		if cache == nil || f.Holdout > 0 {
			if err := at.start(ctx, shards.Order(seed), json); err != nil {
				return nil, err
			}
		}
		d.sources = append(d.sources, data.Source{Shards: shards, Weight: weight, Cache: cache})
	}
	return d, nil
}

// close ends what is still fetched.
func (d *trainingData) close() {
	for _, at := range d.locations {
		at.close()
	}
}

// identity is what a recipe remembers of the data.
func (d *trainingData) identity() string {
	if len(d.sources) == 1 {
		return d.sources[0].Shards.Identity()
	}
	var parts []string
	for _, s := range d.sources {
		parts = append(parts, fmt.Sprintf("%g of %s", s.Weight, s.Shards.Identity()))
	}
	return strings.Join(parts, "; ")
}

func (d *trainingData) badFiles() (n int) {
	for _, s := range d.sources {
		n += s.Shards.BadFiles()
	}
	return n
}

// describe is a line for each source, and where its ids are from.
func (d *trainingData) describe() (lines []string) {
	for i, s := range d.sources {
		line := fmt.Sprintf("%d shards, %d rows", len(s.Shards.Files), s.Shards.Rows())
		if len(d.sources) > 1 {
			line = fmt.Sprintf("%s: weight %g, %s", d.locations[i].name, s.Weight, line)
		}
		if s.Cache != nil {
			line += fmt.Sprintf("; %s tokens from the cache %s", count(s.Cache.Info.Tokens), s.Cache.Dir)
		} else {
			line += "; tokenized on the fly (`steplm data tokenize` would keep the ids)"
		}
		lines = append(lines, line)
	}
	return lines
}

// heldOut is the documents that --holdout keeps apart, a set for each source.
func (d *trainingData) heldOut(filters FilterFlags, tok *tokenizer.Tokenizer) (sets []eval.Set, err error) {
	if filters.Holdout == 0 {
		return nil, nil
	}
	for i, at := range d.locations {
		name := "holdout"
		if len(d.locations) > 1 {
			name += fmt.Sprint(" ", i+1)
		}
		s, err := filters.openHeldOut(at)
		if err != nil {
			return nil, err
		}
		sets = append(sets, eval.TokenSet(name, s, tok))
	}
	return sets, nil
}

// describeRead says what became of the rows of each source.
func (d *trainingData) describeRead(l *data.Loader) []string {
	lines := []string{describeRows(l.Stats(), d.badFiles())}
	if len(d.sources) > 1 {
		for i, s := range l.SourceStats() {
			lines = append(lines, d.locations[i].name+": "+describeRows(s, d.sources[i].Shards.BadFiles()))
		}
	}
	return lines
}
