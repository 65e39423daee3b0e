package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/model"
	"steplm/stage"
	"steplm/stage/eval"
)

// LoadFlags say which trained model to use, and where.
type LoadFlags struct {
	Model      string `required:"" placeholder:"DIR" help:"A model directory as Hugging Face has it, or a run's folder."`
	Tokenizer  string `placeholder:"PATH" help:"tokenizer.json, a SentencePiece .model, or a directory with one or with vocab.json and merges.txt. Default: the model's."`
	DeviceFlag `embed:""`
}

// found is a model on disk.
type found struct {
	dir       string
	config    model.Config
	trained   int // positions that a run trained with; 0: not known
	tokenPath string
}

// find reads the configuration. A run's folder stands for its final model.
func (f LoadFlags) find() (found, error) {
	at := found{dir: f.Model, tokenPath: f.Tokenizer}
	if isRun(f.Model) {
		r, err := stage.ReadRecipe(f.Model)
		if err != nil {
			return at, err
		}
		at.dir, at.trained = filepath.Join(f.Model, stage.FinalDir), r.Batch.SeqLen
		if _, err := os.Stat(at.dir); errors.Is(err, fs.ErrNotExist) {
			return at, fmt.Errorf("%s is a run that has not ended: it has no %s model yet", f.Model, stage.FinalDir)
		}
	}
	if at.tokenPath == "" {
		at.tokenPath = at.dir
	}
	var err error
	at.config, err = model.ReadConfig(at.dir)
	return at, err
}

func isRun(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "recipe.json"))
	return err == nil
}

// tokenizer loads the one that was named or the model's.
func (at found) tokenizer() (*tokenizer.Tokenizer, error) {
	t, err := tokenizer.Load(at.tokenPath)
	if err != nil && at.tokenPath == at.dir {
		return nil, fmt.Errorf("%w; the model brings no tokenizer that can be read: give --tokenizer", err)
	}
	return t, err
}

// window is the number of positions to score at once: what is asked for, what a
// run trained with, or all.
func (at found) window(asked int) int {
	switch {
	case asked > 0:
		return asked
	case at.trained > 0:
		return min(at.trained, at.config.MaxSeqLen)
	}
	return at.config.MaxSeqLen
}

// load opens the device and puts the model there, with room for windows of a
// size.
func (f LoadFlags) load(at found, size model.Size) (*loaded, error) {
	dev, err := f.Open()
	if err != nil {
		return nil, err
	}
	l := &loaded{dev: dev}
	if err := l.fill(at, size); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *loaded) fill(at found, size model.Size) (err error) {
	layout := model.Plain(at.config, at.config.Layers).ForInference()
	if size.Batch > 0 && size.SeqLen > 0 { // others are refused below
		if err := gpu.CheckFits(l.dev, gpu.Plan(l.dev.Own(), layout.Specs(), model.ActivationSpecs(layout, size))); err != nil {
			return err
		}
	}
	if l.model, err = model.LoadHF(l.dev, at.dir); err != nil {
		return err
	}
	if l.acts, err = model.NewActivations(l.dev, l.model.Layout, size); err != nil {
		return err
	}
	l.eval = eval.OnDevice(l.model, l.acts)
	return nil
}

// loaded is a model on a device, ready for windows of one size.
type loaded struct {
	dev   gpu.Device
	model *model.Model
	acts  *model.Activations
	eval  eval.Model
}

// Close frees everything; parts that were not made are left out.
func (l *loaded) Close() {
	if l.acts != nil {
		l.acts.Free()
	}
	if l.model != nil {
		l.model.Free()
	}
	l.dev.Close()
}
