package session

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"steplm/data"
	"steplm/data/cache"
	"steplm/stage/eval"
)

// reading is documents: one source or a mixture.
type reading struct {
	locations []*Location
	sources   []data.Source
	loader    *data.Loader // once a recipe says of which micro-batches
}

// batches implements input.
func (r *reading) batches(s *Session) (_ batches, err error) {
	b := s.Recipe.Batch
	r.loader, err = data.NewMixture(r.sources, s.documents, data.Options{
		BatchSize: b.Batch, SeqLen: b.SeqLen, Seed: s.order(), Shuffle: true, Workers: s.Spec.Data.Threads(),
	})
	if err != nil {
		return nil, err
	}
	return r.loader, nil
}

// names implements input.
func (r *reading) names() (list []string) {
	for _, l := range r.locations {
		list = append(list, l.name)
	}
	return list
}

// steps implements input.
func (r *reading) steps(_ *Session, epochs int) (int, error) {
	return 0, badOption(optionEpochs, epochs, "only examples have epochs, documents are a stream")
}

// Source is one source of a run's documents, for people.
type Source struct {
	Name   string
	Weight float64 // among several
	Shards *data.Shards
	Cache  *cache.Cache // nil: tokenized while training
}

// Sources lists the documents that are read; examples have none.
func (s *Session) Sources() (list []Source) {
	r, ok := s.read.(*reading)
	if !ok {
		return nil
	}
	for i, x := range r.sources {
		list = append(list, Source{r.locations[i].name, x.Weight, x.Shards, x.Cache})
	}
	return list
}

// Stats is what became of the rows that were read, of all sources and of each.
func (s *Session) Stats() (all data.Stats, each []data.Stats) {
	r, ok := s.read.(*reading)
	if !ok {
		return all, nil
	}
	return r.loader.Stats(), r.loader.SourceStats()
}

// splitWeight reads PATH or PATH=WEIGHT. What exists under its whole name is a path.
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

// filter is what is asked of rows.
func (d Data) filter() data.Filter {
	return data.Filter{
		MinScore: d.MinScore, Languages: d.Language,
		MinChars: d.MinChars, MaxChars: d.MaxChars, Dedupe: d.Dedupe, Holdout: d.Holdout,
	}
}

// Open opens data with the filters.
func (d Data) Open(at *Location) (*data.Shards, error) {
	return at.Open(data.OpenOptions{Column: d.TextColumn, Filter: d.filter(), SkipBad: d.SkipBad, MaxLine: d.MaxLine,
		Log: at.ui.Warn})
}

// openHeldOut opens what the filters keep apart. What is skipped of it is skipped of the rest, which
// says so.
func (d Data) openHeldOut(at *Location) (*data.Shards, error) {
	filter := d.filter()
	filter.HeldOut = true
	return at.Open(data.OpenOptions{Column: d.TextColumn, Filter: filter, SkipBad: d.SkipBad, MaxLine: d.MaxLine})
}

// CacheRoot is the directory of all token caches; "" where there is none.
func (d Data) CacheRoot() string {
	if d.Cache != "" {
		return d.Cache
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "steplm", "tokens")
}

// Threads are those that tokenize.
func (d Data) Threads() int {
	if d.Workers > 0 {
		return d.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// Check refuses what says nothing of the paths, and numbers that are none.
func (d Data) Check() error {
	if d.MaxLine < 0 {
		return badOption("max_line", d.MaxLine, "it must be 1 byte or more")
	}
	if d.Workers < 0 {
		return badOption("workers", d.Workers, "it must be 1 or more")
	}
	return checkSources(d.Shards, d.Stream, d.Train...)
}

// read opens what Train names, with its caches. The seed is that of the order.
func (d Data) read(ctx context.Context, seed uint64, tok data.Tokenizer, ui UI) (_ *reading, err error) {
	r := &reading{}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	for _, arg := range d.Train {
		path, weight, given := splitWeight(arg)
		switch {
		case path == "":
			return nil, &OptionError{Option: "data", Why: "it is empty"}
		case len(d.Train) > 1 && !given:
			return nil, badOption("data", arg, "with several sources each has a weight, such as %s=0.5", arg)
		case !(weight > 0) || math.IsInf(weight, 1):
			return nil, badOption("data", arg, "the weight must be above 0")
		}
		at, err := Locate(ctx, path, d.Shards, d.Stream, ui)
		if err != nil {
			return nil, err
		}
		r.locations = append(r.locations, at)
		shards, err := d.Open(at)
		if err != nil {
			return nil, err
		}
		var cached *cache.Cache
		if root := d.CacheRoot(); root != "" {
			if cached, err = data.FindCache(root, shards, tok); err != nil {
				return nil, err
			}
		}
		if cached == nil || d.Holdout > 0 {
			if err := at.start(ctx, shards, seed); err != nil {
				return nil, err
			}
		}
		r.sources = append(r.sources, data.Source{Shards: shards, Weight: weight, Cache: cached})
	}
	return r, nil
}

// close ends what is still fetched.
func (r *reading) close() {
	for _, at := range r.locations {
		at.Close()
	}
}

// identity is what a recipe remembers of the data.
func (r *reading) identity() string {
	if len(r.sources) == 1 {
		return r.sources[0].Shards.Identity()
	}
	var parts []string
	for _, s := range r.sources {
		parts = append(parts, fmt.Sprintf("%g of %s", s.Weight, s.Shards.Identity()))
	}
	return strings.Join(parts, "; ")
}

// heldOut measures on the documents that are kept apart, a task for each source, and on validation data.
func (r *reading) heldOut(ctx context.Context, s *Session, ui UI) (tasks []eval.Task, err error) {
	tasks, err = r.apart(s.Spec.Data, s.documents)
	if s.Spec.Evaluation.Validation != "" && err == nil {
		var task eval.Task
		if task, err = s.texts(ctx, s.Spec.Evaluation.validation(s.Spec.Data), ui); err == nil {
			tasks = append(tasks, task)
		}
	}
	return tasks, err
}

// apart measures on the documents that are kept apart.
func (r *reading) apart(d Data, tok data.Tokenizer) (tasks []eval.Task, err error) {
	if d.Holdout == 0 {
		return nil, nil
	}
	for i, at := range r.locations {
		name := "holdout"
		if len(r.locations) > 1 {
			name += fmt.Sprint(" ", i+1)
		}
		s, err := d.openHeldOut(at)
		if err != nil {
			return nil, err
		}
		task, err := eval.Open("documents", eval.Source{Name: name, Shards: s, Tokenizer: tok})
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, task)
	}
	return tasks, nil
}

// set is a set of texts that a run is measured on.
type set struct {
	kind, name, path, column string
	documents                bool // tokenized as the training data's documents are
}

// sets are those that a run may be measured on besides what is held out of its data.
func (e Evaluation) sets(d Data) []set { return []set{e.validation(d), e.wikitext()} }

func (e Evaluation) validation(d Data) set {
	return set{"documents", "validation", e.Validation, d.TextColumn, true}
}

func (e Evaluation) wikitext() set {
	return set{"wikitext", "wikitext", e.Wikitext, data.TextColumn, false}
}

// Sets is how many sets of texts a run is measured on, with what is held out of its data.
func (e Evaluation) Sets(d Data) (n int) {
	for _, m := range e.sets(d) {
		if m.path != "" {
			n++
		}
	}
	if d.Holdout > 0 {
		n += len(d.Train)
	}
	return n
}

// measures are the tasks that the run measures itself by.
func (s *Session) measures(ctx context.Context, ui UI) ([]eval.Task, error) {
	tasks, err := s.read.heldOut(ctx, s, ui)
	if s.Spec.Evaluation.Wikitext != "" && err == nil {
		var task eval.Task
		if task, err = s.texts(ctx, s.Spec.Evaluation.wikitext(), ui); err == nil {
			tasks = append(tasks, task)
		}
	}
	return tasks, err
}

// texts measures on a set of texts.
func (s *Session) texts(ctx context.Context, m set, ui UI) (eval.Task, error) {
	var tok data.Tokenizer = s.Tokenizer
	if m.documents {
		tok = s.documents
	}
	path, files, err := Local(ctx, m.path, ui)
	if err != nil {
		return nil, err
	}
	return eval.Open(m.kind, eval.Source{Name: m.name, Path: path, Files: files, Column: m.column, Tokenizer: tok})
}
