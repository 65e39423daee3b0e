package session

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"steplm/data/chat"
	"steplm/internal/disk"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/model/hf"
	"steplm/stage/record"
)

// FindNewest is FindModel that takes a run for its newest checkpoint where it has no final model yet, or where the
// final model will not do, since LoRA is merged there.
func FindNewest(name string, unmerged bool) (Trained, error) {
	if !record.HoldsRun(name) {
		return FindModel(name)
	}
	if !unmerged {
		t, err := FindModel(name)
		if err == nil || holds(name, record.FinalDir) {
			return t, err
		}
	}
	last, _, err := record.LastCheckpoint(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is a run without a model: it has saved no checkpoint yet", name)
	}
	if err != nil {
		return Trained{}, err
	}
	return readCheckpoint(record.CheckpointAt(name, last), name)
}

// Source is what the model computes with, read in pieces from its files with no device: of a checkpoint with LoRA
// merged, or beside it (Stored). Close it.
func (t Trained) Source() (export.Model, io.Closer, error) {
	if t.checkpoint {
		s, err := model.OpenStored(t.Dir, t.Layout)
		if err != nil {
			return export.Model{}, nil, err
		}
		m := export.Model{Config: s.Config(), DType: s.DType(), Weights: s.Merged(), Stored: s}
		if s.Adapted() {
			m.DType = checkpoint.F32 // The sum of a weight and its LoRA is no bf16 number.
		}
		return m, s, nil
	}
	c, tensors, err := hf.OpenWhole(t.Dir)
	if err != nil {
		return export.Model{}, nil, err
	}
	return export.Model{Config: c, DType: exact(c, tensors), Weights: tensors}, tensors, nil
}

// exact is the type in which all tensors of a model are: that of all, or F32.
func exact(c model.Config, w *checkpoint.Tensors) checkpoint.DType {
	all := checkpoint.DType("")
	for _, t := range c.FileTensors() {
		switch i, _ := w.Info(t.HF); all {
		case "", i.DType:
			all = i.DType
		default:
			return checkpoint.F32
		}
	}
	return all
}

// carried are the files of a model's text side that other programs know, besides config.json.
var carried = []string{
	"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"vocab.json", "merges.txt", chat.TemplateFile, "chat_template.json", "generation_config.json",
}

// Carried are the files of the text side that the model came with, or that its run left with its final model. nil:
// there are none.
func (t Trained) Carried() ([]export.File, error) {
	if !holds(t.Tokenizer, "tokenizer_config.json") || t.TokenizerHash != "" {
		return nil, nil
	}
	return t.textFiles()
}

// textFiles are those of carried that lie where the tokenizer does, or the tokenizer alone where that is a file of such
// a name.
func (t Trained) textFiles() (files []export.File, err error) {
	info, err := os.Stat(t.Tokenizer)
	if t.Tokenizer == "" || disk.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, name := range carried {
		path := filepath.Join(t.Tokenizer, name)
		if !info.IsDir() {
			path = t.Tokenizer
			if filepath.Base(path) != name {
				continue
			}
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, export.File{Name: name, Content: content})
	}
	return files, nil
}

// SpecialIDs are what the config.json says of them that the model came with, or that its run left with its final model;
// nil: there is none. What lies beside a tokenizer that a run only began with is another model's.
func (t Trained) SpecialIDs() (*hf.SpecialIDs, error) {
	dirs := []string{t.Dir}
	if t.TokenizerHash == "" {
		dirs = append(dirs, t.Tokenizer)
	}
	for _, dir := range dirs {
		if holds(dir, "config.json") {
			ids, err := hf.ReadSpecialIDs(dir)
			return &ids, err
		}
	}
	return nil, nil
}

// HasTokenizer reports whether there is a tokenizer where the model's should be.
func (t Trained) HasTokenizer() bool {
	if info, err := os.Stat(t.Tokenizer); err == nil && !info.IsDir() {
		return true
	}
	for _, name := range []string{"tokenizer.json", "vocab.json", "merges.txt", "tokenizer.model"} {
		if holds(t.Tokenizer, name) {
			return true
		}
	}
	return false
}
