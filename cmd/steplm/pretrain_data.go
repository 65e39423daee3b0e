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

// trainingData is what a run reads: one source or a mixture.
type trainingData struct {
	paths   []string
	sources []data.Source
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

// openTraining opens what --data names, with its caches.
func openTraining(ctx context.Context, json bool, args []string, filters FilterFlags, tokens TokenFlags, tok *tokenizer.Tokenizer) (trainingData, error) {
	var d trainingData
	for _, arg := range args {
		path, weight, given := splitWeight(arg)
		switch {
		case path == "":
			return d, usagef("--data is empty")
		case len(args) > 1 && !given:
			return d, usagef("--data %s: with several sources each has a weight, such as --data %s=0.5", arg, arg)
		case !(weight > 0) || math.IsInf(weight, 1):
			return d, usagef("--data %s: the weight must be above 0", arg)
		}
		if err := local(ctx, json, &path); err != nil {
			return d, err
		}
		shards, err := filters.open(path)
		if err != nil {
			return d, err
		}
		cache, err := tokens.find(shards, tok)
		if err != nil {
			return d, err
		}
		d.paths = append(d.paths, path)
		d.sources = append(d.sources, data.Source{Shards: shards, Weight: weight, Cache: cache})
	}
	return d, nil
}

// identity is what a recipe remembers of the data.
func (d trainingData) identity() string {
	if len(d.sources) == 1 {
		return d.sources[0].Shards.Identity()
	}
	var parts []string
	for _, s := range d.sources {
		parts = append(parts, fmt.Sprintf("%g of %s", s.Weight, s.Shards.Identity()))
	}
	return strings.Join(parts, "; ")
}

func (d trainingData) badFiles() (n int) {
	for _, s := range d.sources {
		n += s.Shards.BadFiles()
	}
	return n
}

// describe is a line for each source, and where its ids are from.
func (d trainingData) describe() (lines []string) {
	for i, s := range d.sources {
		line := fmt.Sprintf("%d shards, %d rows", len(s.Shards.Files), s.Shards.Rows())
		if len(d.sources) > 1 {
			line = fmt.Sprintf("%s: weight %g, %s", d.paths[i], s.Weight, line)
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
func (d trainingData) heldOut(filters FilterFlags, tok *tokenizer.Tokenizer) (sets []eval.Set, err error) {
	if filters.Holdout == 0 {
		return nil, nil
	}
	for i, path := range d.paths {
		name := "holdout"
		if len(d.paths) > 1 {
			name += fmt.Sprint(" ", i+1)
		}
		s, err := filters.openHeldOut(path)
		if err != nil {
			return nil, err
		}
		sets = append(sets, eval.TokenSet(name, s, tok))
	}
	return sets, nil
}

// describeRead says what became of the rows of each source.
func (d trainingData) describeRead(l *data.Loader) []string {
	lines := []string{describeRows(l.Stats(), d.badFiles())}
	if len(d.sources) > 1 {
		for i, s := range l.SourceStats() {
			lines = append(lines, d.paths[i]+": "+describeRows(s, d.sources[i].Shards.BadFiles()))
		}
	}
	return lines
}
