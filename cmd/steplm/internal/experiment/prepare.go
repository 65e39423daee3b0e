package experiment

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"steplm/cmd/steplm/internal/tokens"
	"steplm/model/checkpoint"
	"steplm/stage/experiment"
	"steplm/stage/session"
)

// prepare makes what all runs need, once: the tokenizer and the tokens. What cannot be run is told before that.
func (c *Cmd) prepare(ctx context.Context, file experiment.File) (*experiment.Folder, error) {
	spec, err := file.BaseSpec()
	if err != nil {
		return nil, err
	}
	if len(spec.Data.Train) == 0 {
		return nil, &session.OptionError{Option: "data", Why: "it is missing"}
	}
	if err := spec.Data.Check(); err != nil {
		return nil, err
	}
	vocab, trained := file.Vocab, spec.Data.Tokenizer == ""
	if trained {
		if vocab < 1 {
			return nil, &session.OptionError{Option: "tokenizer", Why: "it is missing, and the experiment does not " +
				"say by tokenizer_vocab how many ids one has that is trained"}
		}
		if spec.Data.Tokenizer, err = filepath.Abs(filepath.Join(c.Out, "tokenizer.json")); err != nil {
			return nil, err
		}
	} else if vocab, _, err = spec.Data.Vocabulary(); err != nil {
		return nil, err
	}
	if _, err := experiment.Make(file, vocab); err != nil {
		return nil, err
	}
	inputs, err := spec.Inputs(ctx, seen())
	if err != nil {
		return nil, err
	}
	state, err := experiment.ReadState(c.Out)
	if err != nil {
		return nil, err
	}
	if err := state.Same(c.Out, inputs); err != nil {
		return nil, err
	}
	declared, err := file.Text()
	if err != nil {
		return nil, err
	}
	if err := checkpoint.WriteFile(filepath.Join(c.Out, experiment.DeclaredFile), declared); err != nil {
		return nil, err
	}
	if err := experiment.WriteState(c.Out, state); err != nil {
		return nil, err
	}
	if trained {
		if err := trainTokenizer(ctx, spec.Data, vocab); err != nil {
			return nil, err
		}
	}
	hash := ""
	if vocab, hash, err = spec.Data.Vocabulary(); err != nil {
		return nil, err
	}
	if err := state.Same(c.Out, map[string]string{"tokenizer": hash}); err != nil {
		return nil, err
	}
	if err := experiment.WriteState(c.Out, state); err != nil {
		return nil, err
	}
	if spec.Data.Cache, err = filepath.Abs(filepath.Join(c.Out, "tokens")); err != nil {
		return nil, err
	}
	if err := tokenize(ctx, spec.Data); err != nil {
		return nil, err
	}
	if file, err = file.WithData(spec.Data.Tokenizer, spec.Data.Cache); err != nil {
		return nil, err
	}
	made, err := experiment.Make(file, vocab)
	if err != nil {
		return nil, err
	}
	return experiment.Open(c.Out, made)
}

// trainTokenizer trains the experiment's tokenizer, unless it is there.
func trainTokenizer(ctx context.Context, d session.Data, vocab int) error {
	if _, err := os.Stat(d.Tokenizer); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(d.Train) > 1 {
		return &session.OptionError{Option: "tokenizer", Why: "of several sources none is trained: name one"}
	}
	train := tokens.NewTokenizerTrain(d.Train[0], d.TextColumn, vocab, d.Tokenizer)
	return train.Run(ctx)
}

// tokenize keeps the ids of every source.
func tokenize(ctx context.Context, d session.Data) error {
	if d.Stream || d.Holdout > 0 {
		return nil // Runs tokenize what arrives, and what is held out.
	}
	for _, path := range d.Sources() {
		if err := tokens.Tokenize(ctx, d, path, false); err != nil {
			return err
		}
	}
	return nil
}
