package export

import (
	"cmp"
	"io"

	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/hf"
)

// HuggingFace is a folder as transformers 4 and 5 read it: config.json of a LlamaForCausalLM, safetensors under Hugging
// Face's names, generation_config.json and the tokenizer's files.
type HuggingFace struct{}

// hfDTypes are the types of its weights, and their names in config.json.
var hfDTypes = map[DType]string{F32: "float32", F16: "float16", BF16: "bfloat16"}

// Name is the format's.
func (HuggingFace) Name() string { return "hf" }

// Single: it is a folder.
func (HuggingFace) Single() bool { return false }

// Check makes config.json, which refuses what it cannot say.
func (f HuggingFace) Check(m Model, text Text, o Options) error {
	dtype, err := f.dtype(m.DType, o)
	if err != nil {
		return err
	}
	ids := specialIDs(text)
	return f.config(io.Discard, m.Config, dtype, ids, text)
}

// dtype is the type of the weights.
func (f HuggingFace) dtype(exact checkpoint.DType, o Options) (DType, error) {
	return o.DType.choose(f.Name(), exact, F32, F16, BF16)
}

// Write writes them.
func (f HuggingFace) Write(d *checkpoint.Dir, m Model, text Text, o Options) error {
	dtype, err := f.dtype(m.DType, o)
	if err != nil {
		return err
	}
	ids := specialIDs(text)
	files := text.Carried
	if files == nil && text.Tokenizer != nil {
		if files, err = tokenizerFiles(text, &ids, positions(m.Config, text)); err != nil {
			return err
		}
	}
	err = create(d, "config.json", func(out io.Writer) error { return f.config(out, m.Config, dtype, ids, text) })
	if err == nil {
		err = hf.WriteTensors(d, m.Config, m.Weights, dtype.stored(), cmp.Or(o.ShardBytes, ShardBytes))
	}
	for _, file := range files {
		if err == nil {
			err = create(d, file.Name, func(out io.Writer) error {
				_, err := out.Write(file.Content)
				return err
			})
		}
	}
	return err
}

// specialIDs are what config.json says.
func specialIDs(text Text) hf.SpecialIDs {
	if text.IDs != nil {
		return *text.IDs
	}
	return hf.SpecialIDs{BOS: text.BOS, EOS: text.EOS}
}

// positions is how many positions the model knows: those that were trained. Other programs take what config.json says
// for what they may give it.
func positions(c model.Config, text Text) int {
	if text.Context == 0 {
		return c.MaxSeqLen
	}
	return min(text.Context, c.MaxSeqLen)
}

// config writes config.json.
func (HuggingFace) config(out io.Writer, c model.Config, dtype DType, ids hf.SpecialIDs, text Text) error {
	c.MaxSeqLen = positions(c, text)
	return hf.WriteConfig(out, c, hfDTypes[dtype], ids)
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
