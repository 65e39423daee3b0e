package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"

	"steplm/data/tokenizer"
	"steplm/internal/disk"
	"steplm/stage/recipe"
	"steplm/stage/trainer"
)

// Inputs are the identities of what a run reads besides its tokenizer, by what it is: of its training data as its
// recipe remembers them, of what it is measured on, a file's content or a folder's shards. What it does not have is
// "none".
func (s Spec) Inputs(ctx context.Context, ui UI) (map[string]string, error) {
	of := func(paths ...string) (string, error) { return exampleFiles(ctx, paths, ui) }
	if !s.Tuning.On() {
		of = func(...string) (string, error) { return s.Data.identity(ctx, ui) }
	}
	train, err := of(s.Data.Train...)
	if err != nil {
		return nil, err
	}
	inputs := map[string]string{"data": train}
	for _, m := range s.Evaluation.sets(s.Data) {
		if s.Tuning.On() && m.name == "validation" {
			inputs[m.name], err = of(m.path)
		} else {
			inputs[m.name], err = identityOf(ctx, m.path, m.column, ui)
		}
		if err != nil {
			return nil, err
		}
	}
	return inputs, nil
}

// identity is that of the data of all sources.
func (d Data) identity(ctx context.Context, ui UI) (string, error) {
	var list []string
	for _, path := range d.Sources() {
		at, err := Locate(ctx, path, d.Shards, d.Stream, ui)
		if err != nil {
			return "", err
		}
		defer at.Close()
		shards, err := d.Open(at)
		if err != nil {
			return "", err
		}
		list = append(list, shards.Identity())
	}
	return strings.Join(list, "; "), nil
}

// identityOf is that of a set of texts.
func identityOf(ctx context.Context, path, column string, ui UI) (string, error) {
	if path == "" {
		return "none", nil
	}
	if at, err := os.Stat(path); err != nil || !at.Mode().IsRegular() {
		return Data{Train: []string{path}, TextColumn: column}.identity(ctx, ui)
	}
	return disk.Hash(path)
}

// exampleFiles identifies files of examples by their contents, in their order; "none" where no path is named.
func exampleFiles(ctx context.Context, paths []string, ui UI) (string, error) {
	paths = slices.DeleteFunc(slices.Clone(paths), func(path string) bool { return path == "" })
	if len(paths) == 0 {
		return "none", nil
	}
	files, err := LocalFiles(ctx, ui, paths...)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, file := range files {
		sum, err := disk.Hash(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, sum)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Vocabulary is how many ids the Spec's tokenizer has, and the hash of its content.
func (d Data) Vocabulary() (ids int, hash string, err error) {
	t, err := tokenizer.Load(d.Tokenizer)
	if err != nil {
		return 0, "", err
	}
	documents, err := d.Documents(t)
	if err != nil {
		return 0, "", err
	}
	return documents.Tokenizer.VocabSize(), documents.Tokenizer.Hash(), nil
}

// Sources are the paths of the sources, without weights.
func (d Data) Sources() (paths []string) {
	for _, arg := range d.Train {
		path, _, _ := splitWeight(arg)
		paths = append(paths, path)
	}
	return paths
}

// Counted is the examples of a Spec, read as its run reads them, with no device and no folder.
type Counted struct {
	Tuned
	read *tuning
	of   *Session // of a run that is none
}

// CountExamples reads them.
func CountExamples(ctx context.Context, spec Spec, ui UI) (*Counted, error) {
	s := &Session{Spec: spec}
	if err := s.Spec.takeTokenizer(); err != nil {
		return nil, err
	}
	if err := s.Spec.Tuning.check(s.Spec); err != nil {
		return nil, err
	}
	tok, err := tokenizer.Load(s.Spec.Data.Tokenizer)
	if err != nil {
		return nil, err
	}
	if err := s.chooseTokens(tok); err != nil {
		return nil, err
	}
	t, err := s.readExamples(ctx, ui)
	if err != nil {
		return nil, err
	}
	c := s.Spec.Schedule
	windows := s.layout(c.BatchSize, c.GradAccum).Windows(t.set)
	return &Counted{Tuned{Train: t.set, HeldOut: t.apart, Validation: t.validation, Windows: windows}, t, s}, nil
}

// Begin is what its Spec's run would train by and on: its recipe, and its micro-batches from the first.
func (c *Counted) Begin() (recipe.Recipe, trainer.Batches, error) {
	s := *c.of
	spec, err := (&Session{Spec: s.Spec, read: c.read}).sized()
	if err != nil {
		return recipe.Recipe{}, nil, err
	}
	if s.Recipe, err = spec.Recipe(s.Tokenizer.VocabSize()); err != nil {
		return recipe.Recipe{}, nil, err
	}
	b, err := c.read.batches(&s)
	return s.Recipe, b, err
}

// Steps is how many a Spec's epochs have, which reads the same examples in windows of the same size.
func (c *Counted) Steps(spec Spec) int {
	s := &Session{Spec: spec}
	if s.Spec.Model.SeqLen == nil {
		s.Spec.Model.SeqLen = &c.Train.SeqLen
	}
	return s.layout(spec.Schedule.BatchSize, spec.Schedule.GradAccum).Steps(c.Train, spec.Schedule.Epochs)
}
