package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"steplm/data/tokenizer"
	"steplm/stage/recipe"
)

// Recipe is the run that is asked for, of a tokenizer with so many ids, as far as it depends on nothing but that: no
// data is read, no device is there and no memory limit is looked at.
func (s Spec) Recipe(vocab int) (recipe.Recipe, error) {
	o, err := s.choices(vocab)
	if err != nil {
		return recipe.Recipe{}, err
	}
	return recipe.NewRecipe(s.Method.Name, o)
}

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
	return fileHash(path)
}

// fileHash is the SHA-256 of a file's content.
func fileHash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
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
