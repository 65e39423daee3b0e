package flags

import (
	"errors"
	"fmt"

	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/advice"
	"steplm/stage/eval"
	"steplm/stage/session"
)

// LoadFlags say which trained model to use, and where.
type LoadFlags struct {
	Model      string `required:"" placeholder:"DIR|RUN@step-N" help:"A run's folder, for its final model; RUN@step-N, for a checkpoint of it; a checkpoint's folder; or a model directory as Hugging Face has it."`
	Tokenizer  string `placeholder:"PATH" help:"tokenizer.json, a SentencePiece .model, or a directory with one or with vocab.json and merges.txt. Default: the model's."`
	DeviceFlag `embed:""`
}

// NewestFlags are LoadFlags where a run's folder stands for its newest checkpoint as long as it has not ended.
type NewestFlags struct {
	Model      string `required:"" placeholder:"DIR|RUN@step-N" help:"A run's folder, for its final model, or its newest checkpoint if it has not ended; RUN@step-N, for a checkpoint of it; a checkpoint's folder; or a model directory as Hugging Face has it."`
	Tokenizer  string `placeholder:"PATH" help:"tokenizer.json, a SentencePiece .model, or a directory with one or with vocab.json and merges.txt. Default: the model's."`
	DeviceFlag `embed:""`
}

// FindNewest finds the model that is meant.
func (f NewestFlags) FindNewest() (Found, error) {
	return FindNewest(f.Model, f.Tokenizer, false)
}

// Found is a model on disk.
type Found struct {
	session.Trained
	named bool // the tokenizer, by a flag
}

// Find finds the model that is meant.
func (f LoadFlags) Find() (at Found, err error) {
	t, err := session.FindModel(f.Model)
	return withTokenizer(t, f.Tokenizer), err
}

// FindNewest finds a model, a run's newest checkpoint where session.FindNewest takes it, with the tokenizer that is
// named unless that is "".
func FindNewest(name, tokenizer string, unmerged bool) (Found, error) {
	t, err := session.FindNewest(name, unmerged)
	return withTokenizer(t, tokenizer), err
}

func withTokenizer(t session.Trained, tokenizer string) Found {
	at := Found{t, tokenizer != ""}
	if at.named {
		at.Tokenizer, at.TokenizerHash = tokenizer, ""
	}
	return at
}

// LoadTokenizer loads the one that was named or the model's.
func (at Found) LoadTokenizer() (*tokenizer.Tokenizer, error) {
	if at.Tokenizer == "" {
		return nil, fmt.Errorf("%s does not say which tokenizer it was trained with: give --tokenizer", at.Dir)
	}
	t, err := tokenizer.Load(at.Tokenizer)
	if err != nil && !at.named {
		return nil, fmt.Errorf("%w; the model brings no tokenizer that can be read: give --tokenizer", err)
	}
	if err == nil && !at.named && at.TokenizerHash != "" && t.Hash() != at.TokenizerHash {
		return nil, fmt.Errorf("%s is no longer the tokenizer that %s was trained with "+
			"(hash %.12s, it was %.12s): give that by --tokenizer",
			at.Tokenizer, at.Dir, t.Hash(), at.TokenizerHash)
	}
	return t, err
}

// Begins is a tokenizer with the beginning of texts that is named, or that the run trained with.
func (at Found) Begins(t *tokenizer.Tokenizer, bos string) (*tokenizer.Tokenizer, error) {
	if bos == "" && !at.named {
		bos = at.BOS
	}
	t, err := t.WithBegin(bos, false)
	return t, wordSpecial(err)
}

// Ends is a tokenizer with the end of texts that is named, or that the run trained with.
func (at Found) Ends(t *tokenizer.Tokenizer, eos string) (*tokenizer.Tokenizer, error) {
	if eos == "" && !at.named {
		if eos = at.EOS; eos == "" && at.SeqLen > 0 { // a run from before there was a choice took the end by its name
			return t, nil
		}
	}
	t, err := t.WithEnd(eos)
	return t, wordSpecial(err)
}

// wordSpecial words a special token that cannot be chosen in flags.
func wordSpecial(err error) error {
	var special *tokenizer.SpecialError
	if errors.As(err, &special) {
		return AsUsage(&session.OptionError{Option: advice.Option(special.Option), Value: special.Asked,
			Why: special.Why})
	}
	return err
}

// Window is the number of positions to score at once: what is asked for, what a
// Run trained with, or all.
func (at Found) Window(asked int) int {
	switch {
	case asked > 0:
		return asked
	case at.SeqLen > 0:
		return min(at.SeqLen, at.Layout.MaxSeqLen)
	}
	return at.Layout.MaxSeqLen
}

// Load opens the device and puts the model there, with room for windows of a
// size.
func (f LoadFlags) Load(at Found, size model.Size) (*loaded, error) {
	dev, err := f.Open()
	if err != nil {
		return nil, err
	}
	l := &loaded{Dev: dev}
	if err := l.fill(at, size); err != nil {
		l.Close()
		return nil, err
	}
	notes, err := at.Notes()
	if err != nil {
		l.Close()
		return nil, err
	}
	for _, note := range notes {
		SessionUI(true).Warn(note)
	}
	return l, nil
}

func (l *loaded) fill(at Found, size model.Size) (err error) {
	layout := at.Layout.ForInference()
	if size.Batch > 0 && size.SeqLen > 0 { // others are refused below
		if err := gpu.CheckFits(l.Dev, gpu.Plan(l.Dev.Own(), layout.Specs(),
			model.ActivationSpecs(layout, size))); err != nil {
			return err
		}
	}
	if l.model, err = at.Open(l.Dev); err != nil {
		return err
	}
	if l.acts, err = model.NewActivations(l.Dev, l.model.Layout, size); err != nil {
		return err
	}
	l.Eval = eval.OnDevice(l.model, l.acts)
	return nil
}

// loaded is a model on a device, ready for windows of one size.
type loaded struct {
	Dev   gpu.Device
	model *model.Model
	acts  *model.Activations
	Eval  eval.Model
}

// Close frees everything; parts that were not made are left out.
func (l *loaded) Close() {
	if l.acts != nil {
		l.acts.Free()
	}
	if l.model != nil {
		l.model.Free()
	}
	l.Dev.Close()
}
