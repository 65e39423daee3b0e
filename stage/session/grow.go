package session

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/stage/recipe"
	"steplm/stage/trainer"
)

// Deeper says how a model is made deeper without training.
type Deeper struct {
	Layers             int // afterwards
	Operator, Position string
	Seed               uint64 // of the random operator and position
}

// Grown is what came of it.
type Grown struct {
	From, To   int // layers
	Parameters int64
	DType      checkpoint.DType
	Note       string // how the request was read where it had no literal meaning
}

// Grow makes a model, as FindModel finds it, deeper by growth alone, and writes it to a folder that must not exist, as
// a Hugging Face directory: whole or not at all, in the type of its weights. It is mixed in f32 and rounded once.
func Grow(ctx context.Context, dev gpu.Device, name, out string, how Deeper) (g Grown, err error) {
	out = filepath.Clean(out)
	if _, err := os.Stat(out); err == nil {
		return g, fmt.Errorf("%s exists: name a folder that does not", out)
	}
	t, err := FindModel(name)
	if err != nil {
		return g, err
	}
	c := t.Layout.Config
	c.Layers, c.RopeLayers = len(t.Layout.Blocks), t.Layout.RopePattern()
	if how.Layers <= c.Layers {
		return g, badOption("layers", how.Layers, "%s has %d: growth needs more", name, c.Layers)
	}
	from, files, err := t.Source()
	if err != nil {
		return g, err
	}
	defer files.Close()
	l := model.Plain(c, c.Layers).ForInference()
	deep := model.Plain(t.Layout.Config, how.Layers).ForInference()
	if err := gpu.CheckFits(dev, gpu.Plan(dev.Own(), deep.Specs())); err != nil {
		return g, err
	}
	m, err := model.New(dev, l)
	if err != nil {
		return g, err
	}
	defer m.Free()
	if err := m.Read(from.Weights); err != nil {
		return g, fmt.Errorf("%s: %w", t.Dir, err)
	}
	growth, err := trainer.Grow(m, recipe.Verb{Do: recipe.Grow, Layers: how.Layers, Operator: how.Operator,
		Position: how.Position, Seed: how.Seed})
	if err != nil {
		return g, err
	}
	text, err := t.carriedText()
	if err != nil {
		return g, err
	}
	w, err := m.Merged()
	if err != nil {
		return g, err
	}
	defer w.Free()
	grown := export.Model{Config: w.Config, DType: from.DType, Weights: w}
	_, err = export.To(ctx, export.HuggingFace{}, out, grown, text, export.Options{})
	return Grown{From: c.Layers, To: how.Layers, Parameters: w.Config.TotalParams(), DType: from.DType,
		Note: growth.Note}, err
}

// carriedText is the text side that lies with the model, which says nothing of its depth.
func (t Trained) carriedText() (text export.Text, err error) {
	if text.IDs, err = t.SpecialIDs(); err != nil {
		return text, err
	}
	text.Carried, err = t.textFiles()
	return text, err
}
