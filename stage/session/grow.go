package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/model/hf"
	"steplm/stage"
	"steplm/stage/recipe"
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

// textFiles are those beside a model that say nothing of its depth: they are copied.
var textFiles = []string{"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
	"added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja", "generation_config.json"}

// Grow makes a model, as FindModel finds it, deeper by growth alone, and writes it to a folder that must not exist, as
// a Hugging Face directory: whole or not at all, in the type of its weights. It is mixed in f32 and rounded once.
func Grow(dev gpu.Device, name, out string, how Deeper) (g Grown, err error) {
	out = filepath.Clean(out)
	if _, err := os.Stat(out); err == nil {
		return g, fmt.Errorf("%s exists: name a folder that does not", out)
	}
	t, err := FindModel(name)
	if err != nil {
		return g, err
	}
	from, files, err := t.Source()
	if err != nil {
		return g, err
	}
	defer files.Close()
	c := t.Layout.Config
	c.Layers, c.RopeLayers = len(t.Layout.Blocks), t.Layout.RopePattern()
	l := model.Plain(c, c.Layers).ForInference()
	deep := model.Plain(t.Layout.Config, max(c.Layers, how.Layers)).ForInference()
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
	if how.Layers <= c.Layers {
		return g, badOption("layers", how.Layers, "%s has %d: growth needs more", name, c.Layers)
	}
	growth, err := stage.Grow(m, recipe.Verb{Do: recipe.Grow, Layers: how.Layers, Operator: how.Operator,
		Position: how.Position, Seed: how.Seed})
	if err != nil {
		return g, err
	}
	g = Grown{From: c.Layers, To: how.Layers, DType: from.DType, Note: growth.Note}
	g.Parameters, err = writeGrown(t, m, out, g.DType)
	return g, err
}

// writeGrown writes what became of t, and counts its parameters.
func writeGrown(t Trained, m *model.Model, out string, dtype checkpoint.DType) (int64, error) {
	w, err := m.Merged()
	if err != nil {
		return 0, err
	}
	defer w.Free()
	ids, err := t.specialIDs()
	if err != nil {
		return 0, err
	}
	if err := checkpoint.MakeDir(filepath.Dir(out)); err != nil {
		return 0, err
	}
	d, err := checkpoint.Begin(filepath.Dir(out), filepath.Base(out))
	if err != nil {
		return 0, err
	}
	torch := map[checkpoint.DType]string{checkpoint.F16: "float16", checkpoint.BF16: "bfloat16",
		checkpoint.F32: "float32"}[dtype]
	config, err := d.Create("config.json")
	if err == nil {
		err = errors.Join(hf.WriteConfig(config, w.Config, torch, ids), config.Close())
	}
	if err == nil {
		err = hf.WriteTensors(d, w.Config, export.Checked(context.Background(), w), dtype, shardBytes)
	}
	for _, name := range textFiles {
		if err == nil {
			err = t.copyText(d, name)
		}
	}
	if err != nil {
		d.Abort()
		return 0, err
	}
	return w.Config.TotalParams(), d.Commit()
}

// shardBytes is how large a file of tensors becomes.
const shardBytes = 4 << 30

// specialIDs are those that the model's config.json names, or what a run left beside its checkpoints does.
func (t Trained) specialIDs() (hf.SpecialIDs, error) {
	for _, dir := range []string{t.Dir, t.Tokenizer} {
		if holds(dir, "config.json") {
			return hf.ReadSpecialIDs(dir)
		}
	}
	return hf.SpecialIDs{}, nil
}

// copyText copies a file of the model's tokenizer, if there is one of that name.
func (t Trained) copyText(d *checkpoint.Dir, name string) error {
	path := filepath.Join(t.Tokenizer, name)
	if filepath.Base(t.Tokenizer) == name { // It is the file.
		path = t.Tokenizer
	}
	from, err := os.Open(path)
	if err != nil { // None is needed.
		return nil
	}
	defer from.Close()
	to, err := d.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
