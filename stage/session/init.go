package session

import (
	"fmt"
	"io"
	"path/filepath"

	"steplm/model"
	"steplm/model/advice"
	"steplm/model/checkpoint"
	"steplm/stage/recipe"
)

// initConfig is the shape of the model that the run begins with.
func (m Model) initConfig() (model.Config, error) {
	if m.Name != "" {
		return model.Config{}, badOption("model", m.Name, "the run begins with %s, which has a shape of its own: "+
			"leave one out", m.Init)
	}
	t, err := FindModel(m.Init)
	if err != nil {
		return model.Config{}, err
	}
	c := t.Layout.Config
	c.Layers, c.RopeLayers = len(t.Layout.Blocks), "" // these are what growth makes of them
	return c, nil
}

// sameShape refuses dimensions that weights which are there do not have.
func (m Model) sameShape(asked, is model.Config) error {
	for _, d := range []struct {
		option    advice.Option
		asked, is any
	}{
		{"hidden", asked.Hidden, is.Hidden}, {"ffn", asked.FFN, is.FFN}, {"heads", asked.Heads, is.Heads},
		{"kv_heads", asked.KVHeads, is.KVHeads}, {"tied", asked.Tied, is.Tied},
	} {
		if d.asked != d.is {
			return badOption(d.option, d.asked, "the model that the run begins with, %s, has %v: leave it out", m.Init,
				d.is)
		}
	}
	return nil
}

// init writes the model that the run begins with, if there is one, into options; which weights it has is not said yet.
func (m Model) init(o *recipe.Options) error {
	if m.Init == "" {
		return nil
	}
	t, err := FindModel(m.Init)
	if err != nil {
		return err
	}
	o.Init = &recipe.Init{Layers: len(t.Layout.Blocks), Vocab: t.Layout.Vocab, RopeLayers: t.Layout.RopePattern()}
	return nil
}

// Identity is the hash of the weights.
func (t Trained) Identity() (string, error) {
	w, err := checkpoint.OpenDir(t.Dir)
	if err != nil {
		return "", err
	}
	defer w.Close()
	return w.Hash()
}

// initWeights opens the weights that the run begins with, which must be those that its recipe names.
func (s *Session) initWeights() (model.Weights, io.Closer, error) {
	t, err := FindModel(s.Spec.Model.Init)
	if err != nil {
		return nil, nil, err
	}
	hash, err := t.Identity()
	if err != nil {
		return nil, nil, err
	}
	if want := s.Recipe.Init.Weights; hash != want {
		return nil, nil, fmt.Errorf("the weights in %s are not those that the run began with (hash %.12s, they "+
			"had %.12s)", t.Dir, hash, want)
	}
	m, closer, err := t.Source()
	return m.Weights, closer, err
}

// takeTokenizer makes the tokenizer that of the model to begin with, unless another is named.
func (s *Spec) takeTokenizer() error {
	if s.Model.Init == "" || s.Data.Tokenizer != "" {
		return nil
	}
	t, err := FindModel(s.Model.Init)
	if err != nil {
		return err
	}
	for _, file := range []string{"tokenizer.json", "tokenizer.model", "vocab.json", "."} {
		if at := filepath.Join(t.Tokenizer, file); exists(at) && (file != "." || !holds(t.Tokenizer, "config.json")) {
			s.Data.Tokenizer = t.Tokenizer
		}
	}
	return nil
}
