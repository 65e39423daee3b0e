package export

import (
	"io"

	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/hf"
)

// shardBytes is how large a file of tensors becomes.
const shardBytes = 4 << 30

// HuggingFace is a folder as transformers 4 and 5 read it: config.json of a LlamaForCausalLM, safetensors under Hugging
// Face's names, generation_config.json and the tokenizer's files. Weights are bf16 where that is exact, else f32.
type HuggingFace struct{}

// Name is the format's.
func (HuggingFace) Name() string { return "hf" }

// Check makes config.json, which refuses what it cannot say.
func (f HuggingFace) Check(c model.Config, text Text) error {
	ids := hf.SpecialIDs{BOS: text.BOS, EOS: text.EOS}
	return f.config(io.Discard, c, checkpoint.F32, ids, text)
}

// Write writes them.
func (f HuggingFace) Write(d *checkpoint.Dir, m *model.Model, text Text) error {
	w, err := m.Merged()
	if err != nil {
		return err
	}
	defer w.Free()
	ids := hf.SpecialIDs{BOS: text.BOS, EOS: text.EOS}
	var files []textFile
	if text.Tokenizer != nil {
		if files, err = tokenizerFiles(text.Tokenizer, &ids, context(w.Config, text)); err != nil {
			return err
		}
	}
	err = create(d, "config.json", func(out io.Writer) error { return f.config(out, w.Config, w.DType, ids, text) })
	if err == nil {
		err = hf.WriteTensors(d, w.Config, w, w.DType, shardBytes)
	}
	if err != nil || text.Tokenizer == nil {
		return err
	}
	err = create(d, "generation_config.json", func(out io.Writer) error {
		return hf.WriteGenerationConfig(out, ids, context(w.Config, text))
	})
	for _, file := range files {
		if err == nil {
			err = create(d, file.name, func(out io.Writer) error {
				_, err := out.Write(file.content)
				return err
			})
		}
	}
	return err
}

// context is how many positions the model knows: those that were trained. Other programs take what config.json says
// for what they may give it.
func context(c model.Config, text Text) int {
	if text.Context == 0 {
		return c.MaxSeqLen
	}
	return min(text.Context, c.MaxSeqLen)
}

// config writes config.json.
func (HuggingFace) config(out io.Writer, c model.Config, dtype checkpoint.DType, ids hf.SpecialIDs,
	text Text) error {
	c.MaxSeqLen = context(c, text)
	torch := map[checkpoint.DType]string{checkpoint.F32: "float32", checkpoint.BF16: "bfloat16"}[dtype]
	return hf.WriteConfig(out, c, torch, ids)
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
