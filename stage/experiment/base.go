package experiment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"steplm/stage/recipe"
	"steplm/stage/record"
	"steplm/stage/results"
	"steplm/stage/session"
)

// Base is an experiment with whose models another one begins. Nothing is written into its folder, where it may still
// be going on.
type Base struct{ folder *Folder }

// ReadBase reads the experiment in a folder.
func ReadBase(dir string) (*Base, error) {
	f, err := ReadFile(filepath.Join(dir, DeclaredFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("from %s: it holds no experiment: there is no %s", dir, DeclaredFile)
	}
	if err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if err := NotOwn(dir, f.From); err != nil {
		return nil, err
	}
	vocab, err := f.vocabularyIn(dir)
	if err != nil {
		return nil, fmt.Errorf("from %s: %w", dir, err)
	}
	e, err := Make(f, vocab)
	if err != nil {
		return nil, fmt.Errorf("from %s: %w", dir, err)
	}
	folder, err := Open(dir, e)
	if err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	folder.reading = true
	return &Base{folder}, nil
}

// NotOwn refuses an experiment in a folder that is to begin with the models of one that is itself, or that began with
// its models, over others or not. From "" is none. What cannot be read on the way whoever reads it tells.
func NotOwn(dir, from string) error {
	last, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	before, path := []fs.FileInfo{last}, from
	for path != "" {
		at, err := os.Stat(path)
		if err != nil {
			return nil
		}
		if slices.ContainsFunc(before, func(other fs.FileInfo) bool { return os.SameFile(at, other) }) {
			return &session.OptionError{Option: "from", Value: from, Why: fmt.Sprintf("the experiment in %s would "+
				"begin with its own models: name the folder of another experiment", path)}
		}
		f, err := ReadFile(filepath.Join(path, DeclaredFile))
		if err != nil {
			return nil
		}
		before, path = append(before, at), f.From
	}
	return nil
}

// TokenizerFile is the tokenizer in an experiment's folder that was trained for it.
const TokenizerFile = "tokenizer.json"

// vocabularyIn is how many ids the tokenizer has of the experiment in a folder.
func (f File) vocabularyIn(dir string) (int, error) {
	spec, err := f.BaseSpec()
	if err != nil {
		return 0, err
	}
	if spec.Data.Tokenizer, err = f.tokenizerIn(dir); err != nil {
		return 0, err
	}
	n, _, err := spec.Data.Vocabulary()
	return n, err
}

// tokenizerIn is the path of the tokenizer of the experiment in a folder: the one that it names, or that of the models
// with which it began, or the one that was trained for it.
func (f File) tokenizerIn(dir string) (string, error) {
	spec, err := f.BaseSpec()
	switch {
	case err != nil || spec.Data.Tokenizer != "":
		return spec.Data.Tokenizer, err
	case f.From == "":
		return filepath.Join(dir, TokenizerFile), nil
	}
	from, err := ReadFile(filepath.Join(f.From, DeclaredFile))
	if err != nil {
		return "", fmt.Errorf("from: %w", err)
	}
	return from.tokenizerIn(f.From)
}

// Tokenizer is the path of the tokenizer of all its models.
func (b *Base) Tokenizer() (string, error) { return b.folder.File.tokenizerIn(b.folder.Dir) }

// Model is the run of a variant with a seed, which must be done.
func (b *Base) Model(label string, seed uint64) (run string, err error) {
	f := b.folder
	at := f.find(label)
	if at < 0 {
		return "", fmt.Errorf("%s: %w", f.Dir, session.Unknown("", label, f.labels()))
	}
	if !slices.Contains(f.File.Seeds, seed) {
		return "", fmt.Errorf("%s has no run of %s with seed %d: its seeds are %v", f.Dir, label, seed, f.File.Seeds)
	}
	if row := f.rowOf(at, seed); row.Status != results.Done {
		return "", &Unready{f.Dir, row}
	}
	return b.at(label, seed), nil
}

// at is where the run of a variant with a seed lies; it is one that Model found.
func (b *Base) at(label string, seed uint64) string {
	i := b.folder.find(label)
	lr, err := b.folder.Choice(i)
	if err != nil { // Model told it.
		return ""
	}
	return b.folder.At(b.folder.Final(i, seed, lr))
}

// Unready is a run with whose model another is to begin, and that has none.
type Unready struct {
	Dir string // of its experiment
	Row results.Row
}

func (e *Unready) Error() string {
	text := fmt.Sprintf("the run %s of %s is %s", e.Row.Run, e.Dir, e.Row.Status)
	if e.Row.Problem != "" {
		text += " (" + e.Row.Problem + ")"
	}
	return text + ": there is no model of it to begin with"
}

// sameTokenizer refuses models that were trained with another tokenizer than the one with this hash.
func (e *Experiment) sameTokenizer(named, hash string) error {
	for i, v := range e.Variants {
		if v.From == "" {
			continue
		}
		for _, seed := range e.File.Seeds {
			run := e.Final(i, seed, 0).Spec.Model.Init
			text, path, err := record.RecipeText(run)
			if err != nil {
				return err
			}
			r, _, err := recipe.Decode(text)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if r.Data.Tokenizer != hash {
				return &session.OptionError{Option: "tokenizer", Value: named, Why: fmt.Sprintf("the model in %s was "+
					"trained with another one (hash %.12s, this one has %.12s): leave it out", run, r.Data.Tokenizer,
					hash)}
			}
		}
	}
	return nil
}

// Begun is what an experiment begins with: the weights' identities of all models, by their runs' names where these are
// another experiment's, else by their paths, with the tokenizer, whose path and hash are given, checked against those
// of the former.
func (e *Experiment) Begun(tokenizer, hash string) (map[string]string, error) {
	if err := e.sameTokenizer(tokenizer, hash); err != nil {
		return nil, err
	}
	models := map[string]string{}
	for i, v := range e.Variants {
		for _, seed := range e.File.Seeds {
			init := e.Final(i, seed, 0).Spec.Model.Init
			what := "model " + init
			if v.From != "" {
				what = "model " + filepath.Base(init)
			}
			if _, known := models[what]; known || init == "" {
				continue
			}
			t, err := session.FindModel(init)
			if err != nil {
				return nil, err
			}
			if models[what], err = t.Identity(); err != nil {
				return nil, err
			}
		}
	}
	return models, nil
}
