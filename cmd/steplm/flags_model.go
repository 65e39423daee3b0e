package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"steplm/model"
)

// ModelFlags say which model: a preset or a config.json, with any dimension
// replaced, or all dimensions one by one.
type ModelFlags struct {
	Model     string `placeholder:"PRESET|FILE" help:"Preset (tiny, 15m, 60m, 130m, 368m, 680m, 1.2b) or config.json as Hugging Face has it."`
	Hidden    *int   `placeholder:"N" help:"Hidden size."`
	FFN       *int   `name:"ffn" placeholder:"N" help:"Inner size of the feed-forward."`
	Layers    *int   `placeholder:"N" help:"Layers of the whole model."`
	Heads     *int   `placeholder:"N" help:"Attention heads."`
	KVHeads   *int   `name:"kv-heads" placeholder:"N" help:"Key-value heads. Default: the model's, or as many as heads."`
	Vocab     *int   `placeholder:"N" help:"Vocabulary size."`
	Tied      *bool  `negatable:"" help:"Use the embedding as the head too."`
	MaxSeqLen *int   `name:"max-seq-len" placeholder:"N" help:"Most positions that the model may be given. Default: the model's, or 2048."`
	SeqLen    *int   `name:"seq-len" placeholder:"N" help:"Positions per window. Default: 256, or the model's maximum if that is less."`
}

// defaultSeqLen is short enough for a software device.
const defaultSeqLen = 256

// Window is the number of positions of a training window.
func (f ModelFlags) Window(c model.Config) int {
	if f.SeqLen != nil {
		return *f.SeqLen
	}
	return min(defaultSeqLen, c.MaxSeqLen)
}

// Config is the model that the flags describe. vocab is the number of ids that
// the tokenizer has, or 0 when there is none: then --vocab or the preset says
// it. A vocabulary larger than the tokenizer's is allowed, a smaller one not.
func (f ModelFlags) Config(vocab int) (model.Config, error) {
	c, err := f.base(vocab)
	if err != nil {
		return model.Config{}, err
	}
	// Heads that are not grouped stay so.
	if f.Heads != nil && c.KVHeads == c.Heads {
		c.KVHeads = *f.Heads
	}
	for _, d := range []struct{ to, from *int }{
		{&c.Hidden, f.Hidden}, {&c.FFN, f.FFN}, {&c.Layers, f.Layers}, {&c.Heads, f.Heads}, {&c.KVHeads, f.KVHeads},
		{&c.MaxSeqLen, f.MaxSeqLen},
	} {
		if d.from != nil {
			*d.to = *d.from
		}
	}
	switch {
	case f.Vocab != nil:
		if *f.Vocab < vocab {
			return model.Config{}, fmt.Errorf("--vocab %d is below the tokenizer's %d ids", *f.Vocab, vocab)
		}
		c.Vocab = *f.Vocab
	case vocab > 0:
		c.Vocab = vocab
	}
	if f.Tied != nil {
		c.Tied = *f.Tied
	}
	return c, c.Validate()
}

// base is the model before flags replace its dimensions.
func (f ModelFlags) base(vocab int) (model.Config, error) {
	if f.Model != "" {
		return namedModel(f.Model)
	}
	var missing []string
	for _, d := range []struct {
		flag string
		set  bool
	}{
		{"--hidden", f.Hidden != nil}, {"--ffn", f.FFN != nil}, {"--layers", f.Layers != nil}, {"--heads", f.Heads != nil},
		{"--vocab", f.Vocab != nil || vocab > 0},
	} {
		if !d.set {
			missing = append(missing, d.flag)
		}
	}
	if len(missing) > 0 {
		return model.Config{}, usagef("without --model these are needed too: %s; presets are %s", strings.Join(missing, ", "), strings.Join(model.Presets(), ", "))
	}
	return model.Config{KVHeads: *f.Heads, Heads: *f.Heads, MaxSeqLen: 2048, NormEps: 1e-5, RopeTheta: 10000}, nil
}

// namedModel reads a preset, or a file that exists or is spelled as one.
func namedModel(name string) (model.Config, error) {
	_, missing := os.Stat(name)
	preset := slices.Contains(model.Presets(), strings.ToLower(name))
	if !preset && (missing == nil || strings.ContainsAny(name, `/\`) || filepath.Ext(name) == ".json") {
		return model.ReadConfig(name)
	}
	return model.Preset(name)
}
