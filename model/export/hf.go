package export

import (
	"io"

	"steplm/data/tokenizer"
	"steplm/model"
	"steplm/model/checkpoint"
)

// shardBytes is how large a file of tensors becomes.
const shardBytes = 4 << 30

// HuggingFace is a folder as transformers reads it: config.json of a LlamaForCausalLM, safetensors under Hugging Face's
// names, and tokenizer.json. Weights are bf16 where that is exact, else f32.
type HuggingFace struct{}

// Name is the format's.
func (HuggingFace) Name() string { return "hf" }

// Check makes config.json, which refuses what it cannot say.
func (f HuggingFace) Check(c model.Config, tok *tokenizer.Tokenizer) error {
	return f.config(io.Discard, c, checkpoint.F32, tok)
}

// Write writes the three.
func (f HuggingFace) Write(d *checkpoint.Dir, m *model.Model, tok *tokenizer.Tokenizer) error {
	w, err := m.Merged()
	if err != nil {
		return err
	}
	defer w.Free()
	err = create(d, "config.json", func(out io.Writer) error { return f.config(out, w.Config, w.DType, tok) })
	if err == nil {
		err = w.Config.WriteTensors(d, w, w.DType, shardBytes)
	}
	if err != nil || tok == nil {
		return err
	}
	return create(d, "tokenizer.json", func(out io.Writer) error {
		content, err := tok.JSON()
		if err == nil {
			_, err = out.Write(content)
		}
		return err
	})
}

// config writes config.json. The end of a text also begins one.
func (HuggingFace) config(out io.Writer, c model.Config, dtype checkpoint.DType, tok *tokenizer.Tokenizer) error {
	var end *int
	if tok != nil {
		if id, ok := tok.EndOfText(); ok {
			n := int(id)
			end = &n
		}
	}
	torch := map[checkpoint.DType]string{checkpoint.F32: "float32", checkpoint.BF16: "bfloat16"}[dtype]
	return model.WriteConfig(out, c, torch, end, end)
}

// create writes one file of d.
func create(d *checkpoint.Dir, name string, write func(io.Writer) error) error {
	out, err := d.Create(name)
	if err != nil {
		return err
	}
	if err := write(out); err != nil {
		return err
	}
	return out.Close()
}
