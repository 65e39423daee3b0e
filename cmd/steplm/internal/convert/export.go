// Package convert has the commands that make other files of a trained model, and train nothing.
package convert

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"steplm/cmd/steplm/internal/flags"
	"steplm/cmd/steplm/internal/view"
	"steplm/data/chat"
	"steplm/gpu"
	"steplm/model/checkpoint"
	"steplm/model/export"
	"steplm/stage/session"
)

// ExportCmd writes a model for other programs.
type ExportCmd struct {
	Model              string `arg:"" name:"model" placeholder:"RUN|DIR" help:"A run's folder: its final model, or the newest checkpoint of one that has not ended; RUN@step-N, a checkpoint of it; a checkpoint's folder; or a model directory as Hugging Face has it."`
	To                 string `required:"" enum:"hf,peft,gguf" placeholder:"FORMAT" help:"hf: a folder for transformers, LoRA merged. peft: LoRA as peft loads it, with the model beside it in base/; of a run its newest checkpoint. gguf: a file for llama.cpp."`
	Out                string `required:"" placeholder:"PATH" help:"The folder or, of gguf, the file to write, which must not exist."`
	DType              string `name:"dtype" enum:",f32,f16,bf16,q8_0" default:"" placeholder:"TYPE" help:"How weights are written: f32, f16, bf16 or, in gguf, q8_0. Default: the smallest type in which they are exact."`
	Tokenizer          string `placeholder:"PATH" help:"tokenizer.json, a SentencePiece .model, or a directory with one or with vocab.json and merges.txt. Default: the model's."`
	flags.SpecialFlags `embed:""`
	ShardSize          flags.ByteSize `placeholder:"BYTES" help:"Cut the weights of hf and peft into files of at most so many bytes, with an index. Default: 4GiB."`
	JSON               bool           `help:"Print JSON."`
}

// Run exports.
func (c *ExportCmd) Run(ctx context.Context) error {
	f, err := export.Find(c.To)
	if err != nil {
		return err
	}
	at, err := flags.FindNewest(c.Model, c.Tokenizer, c.To == (export.PEFT{}).Name())
	if err != nil {
		return err
	}
	m, closer, err := at.Source()
	if err != nil {
		return err
	}
	defer closer.Close()
	text, err := c.text(at, f)
	if err != nil {
		return err
	}
	o := export.Options{DType: export.DType(c.DType), ShardBytes: int64(c.ShardSize), Name: name(c.Model)}
	files, err := export.To(ctx, f, c.Out, m, text, o)
	if err != nil {
		return err
	}
	ui := flags.SessionUI(c.JSON)
	if n, ok := f.(interface {
		Notes(export.Model, export.Text) []string
	}); ok {
		for _, note := range n.Notes(m, text) {
			ui.Warn(note)
		}
	}
	notes, err := at.Notes()
	for _, note := range notes {
		ui.Warn(note)
	}
	if err != nil {
		return err
	}
	return c.print(f, at, files)
}

// folder is that of a file, or itself.
func folder(path string) string {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return filepath.Dir(path)
	}
	return path
}

// text is the model's side of text: the files that it came with where the format has such files, or what is named.
func (c *ExportCmd) text(at flags.Found, f export.Format) (export.Text, error) {
	text := export.Text{Context: at.Context}
	asked := c.Tokenizer != "" || c.EOS != "" || c.BOS != ""
	var err error
	if text.Carried, err = at.Carried(); err != nil {
		return text, err
	}
	if text.ChatTemplate, _, err = chat.Source(folder(at.Tokenizer)); err != nil && !errors.Is(err, chat.ErrNone) {
		return text, err
	}
	if asked {
		text.Carried = nil
	} else if text.IDs, err = at.SpecialIDs(); err != nil {
		return text, err
	}
	if text.Carried != nil && !f.Single() {
		return text, nil
	}
	if at.Tokenizer == "" || !asked && !at.HasTokenizer() {
		return text, nil
	}
	tok, err := at.LoadTokenizer()
	if err != nil {
		return text, err
	}
	if tok, err = at.Ends(tok, c.EOS); err != nil {
		return text, err
	}
	if tok, err = at.Begins(tok, c.BOS); err != nil {
		return text, err
	}
	text.Tokenizer = tok
	text.BOS, text.EOS = session.SpecialIDs(tok)
	return text, nil
}

// name is the model's for people: its folder's.
func name(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return filepath.Base(abs)
}

// print says what was written.
func (c *ExportCmd) print(f export.Format, at flags.Found, files []checkpoint.Written) error {
	path := func(w checkpoint.Written) string {
		if f.Single() {
			return c.Out
		}
		return filepath.Join(c.Out, filepath.FromSlash(w.Name))
	}
	if c.JSON {
		type file struct {
			Path   string `json:"path"`
			Bytes  int64  `json:"bytes"`
			SHA256 string `json:"sha256"`
		}
		list := []file{}
		for _, w := range files {
			list = append(list, file{path(w), w.Size, w.SHA256})
		}
		return view.JSON(map[string]any{"model": at.Dir, "format": f.Name(), "out": c.Out, "files": list})
	}
	fmt.Printf("%s as %s: %s\n", at.Dir, f.Name(), c.Out)
	rows := [][]string{{"file", "bytes", "SHA-256"}}
	for _, w := range files {
		rows = append(rows, []string{path(w), gpu.Bytes(w.Size), w.SHA256})
	}
	view.Table(os.Stdout, 1, rows)
	return nil
}
