package export

import (
	"fmt"
	"math"
	"strings"

	"steplm/model"
)

// ggufFamily is how llama.cpp knows a family.
type ggufFamily struct {
	arch string
	// pairs: rotary embeddings turn neighbours, so that the rows of queries and keys are put in pairs; else halves of a
	// head, as in Hugging Face's files.
	pairs bool
	// What it takes besides the weights of every LLaMA.
	outBias, ffnBias, qkNorm, headSize, frequencies bool
	// noRope is that every so many layers one leaves its queries and keys as they are; 0: none does.
	noRope int
}

// ggufFamilies lists them by model_type. Mistral's is LLaMA's.
var ggufFamilies = map[string]ggufFamily{
	"":        {arch: "llama", pairs: true, outBias: true, ffnBias: true, headSize: true, frequencies: true},
	"mistral": {arch: "llama", pairs: true, outBias: true, ffnBias: true, headSize: true, frequencies: true},
	"qwen2":   {arch: "qwen2"},
	"qwen3":   {arch: "qwen3", qkNorm: true, headSize: true},
	"smollm3": {arch: "smollm3", pairs: true, headSize: true, noRope: 4},
}

// familyOf is a model's family there, or what of the model llama.cpp would leave out. positions is the context.
func familyOf(c model.Config, positions int) (ggufFamily, error) {
	f, ok := ggufFamilies[c.Family]
	if !ok {
		return f, fmt.Errorf("llama.cpp's files of model_type %q are not known", c.Family)
	}
	refuse := func(format string, args ...any) (ggufFamily, error) {
		return f, fmt.Errorf("llama.cpp's %s does not take %s: without it the model would be another", f.arch,
			fmt.Sprintf(format, args...))
	}
	s := c.RopeScaling
	switch {
	case c.OutBias && !f.outBias:
		return refuse("a bias of attention's output")
	case c.FFNBias && !f.ffnBias:
		return refuse("biases of the MLP")
	case c.QKNorm != f.qkNorm:
		return refuse("q/k norms: %v, it is %v there", c.QKNorm, f.qkNorm)
	case !f.headSize && c.QDim() != c.Hidden:
		return refuse("head_dim %d x %d heads, which is not the hidden size %d", c.HeadDim(), c.Heads, c.Hidden)
	case c.Window > 0 && c.Window < positions:
		return refuse("a sliding window of %d positions, below the context of %d", c.Window, positions)
	case c.RopeLayers != f.ropeLayers(c.Layers):
		return refuse("layers with rotary positions %q (%q there)", c.RopeLayers, f.ropeLayers(c.Layers))
	case s.Type == model.RopeLlama3 && !f.frequencies:
		return refuse("rope_type %s", s.Type)
	case s.Type == model.RopeYarn && (s.AttentionFactor != 0 && !near(s.AttentionFactor, 0.1*math.Log(s.Factor)+1) ||
		s.BetaFast != 32 || s.BetaSlow != 1 || s.Untruncated):
		return refuse("rope_type yarn with other factors than beta_fast 32, beta_slow 1, truncate true and "+
			"attention_factor 0.1 ln(factor) + 1, here %+v", s)
	}
	return f, nil
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Abs(b) }

// ropeLayers is which layers turn queries and keys, as model.Config has it.
func (f ggufFamily) ropeLayers(layers int) string {
	var text strings.Builder
	for i := range layers {
		if f.noRope > 0 && (i+1)%f.noRope == 0 {
			text.WriteByte('0')
			continue
		}
		text.WriteByte('1')
	}
	if !strings.Contains(text.String(), "0") {
		return ""
	}
	return text.String()
}

// scaling writes how rotary positions are stretched, unless a tensor does.
func (f ggufFamily) scaling(h *ggufHead, s model.RopeScaling) {
	if s.Type != model.RopeLinear && s.Type != model.RopeYarn {
		return
	}
	h.add(f.arch+".rope.scaling.type", s.Type)
	h.add(f.arch+".rope.scaling.factor", float32(s.Factor))
	if s.Type == model.RopeYarn {
		h.add(f.arch+".rope.scaling.original_context_length", uint32(s.Original))
	}
}

// ropeFactors are what each frequency is divided by, (HeadDim/2); nil: no tensor says it.
func ropeFactors(c model.Config) []float32 {
	if c.RopeScaling.Type != model.RopeLlama3 {
		return nil
	}
	plain := c
	plain.RopeScaling = model.RopeScaling{}
	before, after := plain.RopeFrequencies(), c.RopeFrequencies()
	list := make([]float32, len(before))
	for i := range list {
		list[i] = float32(before[i] / after[i])
	}
	return list
}
