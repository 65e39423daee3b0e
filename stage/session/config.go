package session

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"steplm/model"
	"steplm/model/advice"
	"steplm/model/hf"
)

// defaultSeqLen is short enough for a software device.
const defaultSeqLen = 256

// Window is the number of positions of a training window.
func (m Model) Window(c model.Config) int {
	if m.SeqLen != nil {
		return *m.SeqLen
	}
	return min(defaultSeqLen, c.MaxSeqLen)
}

// Config is the model that is asked for. vocab is the number of ids that the tokenizer has, or 0
// when there is none: then the vocabulary or the preset says it. A vocabulary larger than the
// tokenizer's is allowed, a smaller one not.
func (m Model) Config(vocab int) (model.Config, error) {
	c, err := m.base(vocab)
	if err != nil {
		return model.Config{}, err
	}
	base := c
	// Heads that are not grouped stay so.
	if m.Heads != nil && c.KVHeads == c.Heads {
		c.KVHeads = *m.Heads
	}
	for _, d := range []struct{ to, from *int }{
		{&c.Hidden, m.Hidden}, {&c.FFN, m.FFN}, {&c.Layers, m.Layers}, {&c.Heads, m.Heads}, {&c.KVHeads, m.KVHeads},
		{&c.MaxSeqLen, m.MaxSeqLen},
	} {
		if d.from != nil {
			*d.to = *d.from
		}
	}
	switch {
	case m.Vocab != nil:
		if *m.Vocab < vocab {
			return model.Config{}, badOption("vocab", *m.Vocab, "it is below the tokenizer's %d ids", vocab)
		}
		c.Vocab = *m.Vocab
	case m.Init != "" && vocab > c.Vocab:
		return model.Config{}, badOption("vocab", c.Vocab, "the tokenizer has %d ids, and the model that the run "+
			"begins with fewer: give at least %d, and rows are appended", vocab, vocab)
	case m.Init != "":
	case vocab > 0:
		c.Vocab = vocab
	}
	if m.Tied != nil {
		c.Tied = *m.Tied
	}
	if m.Init != "" {
		if err := m.sameShape(c, base); err != nil {
			return model.Config{}, err
		}
	}
	return c, c.Validate()
}

// Missing are options without which there is nothing to do. Of each list one is needed.
type Missing struct {
	Options [][]advice.Option
	Hint    string
}

func (e *Missing) Error() string {
	return "missing: " + e.Words(func(o advice.Option) string { return string(o) })
}

// Words lists what is missing, each option as name spells it.
func (e *Missing) Words(name func(advice.Option) string) string {
	var list []string
	for _, options := range e.Options {
		var words []string
		for _, o := range options {
			words = append(words, name(o))
		}
		list = append(list, strings.Join(words, " or "))
	}
	return strings.Join(list, ", ") + e.Hint
}

// base is the model before its dimensions are replaced.
func (m Model) base(vocab int) (model.Config, error) {
	if m.Init != "" {
		return m.initConfig()
	}
	if m.Name != "" {
		return namedModel(m.Name)
	}
	missing := &Missing{Hint: "; or name a model: presets are " + strings.Join(model.Presets(), ", ")}
	for _, d := range []struct {
		option advice.Option
		set    bool
	}{
		{"hidden", m.Hidden != nil}, {"ffn", m.FFN != nil}, {"layers", m.Layers != nil}, {"heads", m.Heads != nil},
		{"vocab", m.Vocab != nil || vocab > 0},
	} {
		if !d.set {
			missing.Options = append(missing.Options, []advice.Option{d.option})
		}
	}
	if len(missing.Options) > 0 {
		return model.Config{}, missing
	}
	return model.Config{KVHeads: *m.Heads, Heads: *m.Heads, MaxSeqLen: 2048, NormEps: 1e-5, RopeTheta: 10000}, nil
}

// isFile reports whether a model's name is that of a file, one that exists or is spelled as one.
func isFile(name string) bool {
	return !isPreset(name) && (exists(name) || strings.ContainsAny(name, `/\`) || filepath.Ext(name) == ".json")
}

func isPreset(name string) bool { return slices.Contains(model.Presets(), strings.ToLower(name)) }

// ignoredWeights says what a model's folder holds that a run which begins anew does not read: weights. "" is nothing.
func (m Model) ignoredWeights() string {
	if !isFile(m.Name) {
		return ""
	}
	for _, pattern := range []string{"*.safetensors", "pytorch_model*.bin", "*.gguf"} {
		if found, err := filepath.Glob(filepath.Join(m.Name, pattern)); err == nil && len(found) > 0 {
			return fmt.Sprintf("the weights in %s (%s) are ignored: of that model only its shape is taken, and "+
				"training begins from random weights (the option init begins with them)", m.Name,
				filepath.Base(found[0]))
		}
	}
	return ""
}

// namedModel reads a preset or a file.
func namedModel(name string) (model.Config, error) {
	if isFile(name) {
		return hf.ReadConfig(name)
	}
	return model.Preset(name)
}
