// Package speak has the commands in which a model speaks, and how one is opened to do so.
package speak

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"steplm/cmd/steplm/internal/devices"
	"steplm/cmd/steplm/internal/flags"
	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/model"
	"steplm/model/generate"
	"steplm/model/hf"
)

// Flags say which model speaks, where, and how its texts begin and end.
type Flags struct {
	flags.NewestFlags `embed:""`
	EOS               string `name:"eos" placeholder:"TOKEN" help:"The token that ends a text, by its text or id. Default: what the model's files or its run say."`
	BOS               string `name:"bos" placeholder:"TOKEN" help:"The token that begins a text, by its text or id. Default: the run's, else what the tokenizer's post-processor puts first."`
	Context           int    `placeholder:"N" range:"0..1e9" help:"Positions of a text, at most. Default: what the run trained with, else the model's maximum."`
	devices.TuneFlags `embed:""`
}

// Voice is a model on disk with what its texts are made of.
type Voice struct {
	flags.Found
	Tok     *tokenizer.Tokenizer // nil: there is none
	Ends    []uint32             // tokens that end a text
	Context int                  // positions of a text
	flags   Flags
}

// Find finds the model and its tokenizer; without one it is an error only where one is needed.
func (f Flags) Find(needed bool) (v Voice, err error) {
	v.flags = f
	if v.Found, err = f.FindNewest(); err != nil {
		return v, err
	}
	if v.Context = v.Window(f.Context); v.Context > v.Layout.MaxSeqLen {
		return v, fmt.Errorf("a context of %d positions: the model has %d", v.Context, v.Layout.MaxSeqLen)
	}
	tok, err := v.LoadTokenizer()
	switch {
	case err == nil:
		err = v.take(tok)
	case !needed && f.Tokenizer == "": // it would only show ids as text
		err = nil
	}
	if err == nil && len(v.Ends) == 0 {
		v.Ends, err = hf.ReadEnds(v.Dir, v.Layout.Vocab)
	}
	return v, err
}

// take makes a tokenizer the model's.
func (v *Voice) take(tok *tokenizer.Tokenizer) (err error) {
	if tok.VocabSize() > v.Layout.Vocab {
		return fmt.Errorf("the tokenizer has %d ids, the model's vocabulary only %d: they do not belong together",
			tok.VocabSize(), v.Layout.Vocab)
	}
	if tok, err = v.Begins(tok, v.flags.BOS); err != nil {
		return err
	}
	if v.flags.EOS == "" {
		if v.Ends, err = hf.ReadEnds(v.Dir, v.Layout.Vocab); err != nil {
			return err
		}
	}
	if len(v.Ends) == 0 {
		ended, err := v.Found.Ends(tok, v.flags.EOS)
		if err != nil && v.flags.EOS != "" {
			return err
		}
		if err == nil { // else nothing says that a token ends texts
			tok = ended
		}
		if id, ok := tok.EndOfText(); ok {
			v.Ends = []uint32{id}
		}
	}
	v.Tok = tok
	return nil
}

// Encode is a prompt's ids, begun as the model's texts are. A text of none begins with the token that ends texts, where
// no token begins them: what is written after it is a new one.
func (v Voice) Encode(text string) ([]uint32, error) {
	ids, err := v.Tok.Encode(text)
	if err != nil {
		return nil, err
	}
	if id, ok := v.Tok.BeginOfText(); ok {
		return append([]uint32{id}, ids...), nil
	}
	if id, ok := v.Tok.EndOfText(); ok && len(ids) == 0 {
		return []uint32{id}, nil
	}
	return ids, nil
}

// Text makes text of what follows on a prompt; without a tokenizer it is nil.
func (v Voice) Text(prompt []uint32, stops []string) *generate.Text {
	if v.Tok == nil {
		return nil
	}
	// A decoder may leave out a space at the beginning, which the token that begins a text is not.
	if id, ok := v.Tok.BeginOfText(); ok && len(prompt) > 0 && prompt[0] == id {
		prompt = prompt[1:]
	}
	return generate.NewText(v.Tok, prompt, stops)
}

// Speaker is a Voice on a device, ready to generate.
type Speaker struct {
	Voice
	Dev   gpu.Device
	Gen   *generate.Generator
	model *model.Model
	own   bool // the device
}

// Work is about how much will be generated: what tuning pays for.
type Work struct{ Prompts, Added int }

// Open opens the device, tunes it if that pays, and puts the model there with room to generate.
func (v Voice) Open(ctx context.Context, c generate.Config, w Work, quiet bool) (*Speaker, error) {
	layout := v.Layout.ForInference()
	c, err := c.Resolve(layout)
	if err != nil {
		return nil, err
	}
	dev, err := v.flags.DeviceFlag.Open()
	if err != nil {
		return nil, err
	}
	classes, err := generate.Classes(layout, c, dev.Limits(), w.Prompts, w.Added)
	if err == nil {
		_, err = v.flags.Tune(ctx, dev, classes, layout.Storage.Precision, quiet)
	}
	if err != nil {
		dev.Close()
		return nil, err
	}
	s, err := v.on(dev, c)
	for range 3 { // A run that trains may remove a checkpoint while it is read: then there is a newer one.
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		newer, missing := v.flags.Find(v.Tok != nil)
		if missing != nil || newer.Dir == v.Dir {
			break
		}
		newer.Ends, newer.Context, v = v.Ends, v.Context, newer
		s, err = v.on(dev, c)
	}
	if err != nil {
		dev.Close()
		return nil, err
	}
	s.own = true
	notes, err := v.Notes()
	if err != nil {
		s.Close()
		return nil, err
	}
	for _, note := range notes {
		flags.SessionUI(true).Warn(note)
	}
	return s, nil
}

// on puts the model on a device that is open, with room to generate.
func (v Voice) on(dev gpu.Device, c generate.Config) (s *Speaker, err error) {
	layout := v.Layout.ForInference()
	specs, err := generate.Specs(layout, c)
	if err != nil {
		return nil, err
	}
	if err := gpu.CheckFits(dev, gpu.Plan(dev.Own(), layout.Specs(), specs)); err != nil {
		return nil, err
	}
	s = &Speaker{Voice: v, Dev: dev}
	if s.model, err = v.Found.Open(dev); err != nil {
		return nil, err
	}
	if s.Gen, err = generate.New(s.model, c); err != nil {
		s.model.Free()
		return nil, err
	}
	return s, nil
}

// Close frees everything, the device too where Open opened it.
func (s *Speaker) Close() {
	s.Gen.Free()
	s.model.Free()
	if s.own {
		s.Dev.Close()
	}
}
