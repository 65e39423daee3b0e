package session

import (
	"context"

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

// Identities are those of the data of each source, by which a run's recipe remembers what it reads.
func (d Data) Identities(ctx context.Context, ui UI) (list []string, err error) {
	for _, path := range d.Sources() {
		at, err := Locate(ctx, path, d.Shards, d.Stream, ui)
		if err != nil {
			return nil, err
		}
		defer at.Close()
		shards, err := d.Open(at)
		if err != nil {
			return nil, err
		}
		list = append(list, shards.Identity())
	}
	return list, nil
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
