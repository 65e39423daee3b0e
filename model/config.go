package model

import (
	"fmt"
	"slices"
	"strings"

	"steplm/wgsl"
)

// Config is the shape of a LLaMA, under the names of Hugging Face's
// config.json.
type Config struct {
	Hidden    int     `json:"hidden_size"`
	FFN       int     `json:"intermediate_size"`
	Layers    int     `json:"num_hidden_layers"`
	Heads     int     `json:"num_attention_heads"`
	KVHeads   int     `json:"num_key_value_heads"`
	Vocab     int     `json:"vocab_size"`
	MaxSeqLen int     `json:"max_position_embeddings"`
	NormEps   float64 `json:"rms_norm_eps"`
	RopeTheta float64 `json:"rope_theta"`
	Tied      bool    `json:"tie_word_embeddings"` // the head is the embedding

	// What only some families have. Where none is said, the model is LLaMA as it was first published.

	Family   string `json:"model_type,omitempty"` // in whose files it is written, by Hugging Face's name; "": llama
	HeadSize int    `json:"head_dim,omitempty"`   // 0: Hidden / Heads
	QKVBias  bool   `json:"qkv_bias,omitempty"`   // of queries, keys and values
	OutBias  bool   `json:"out_bias,omitempty"`   // of attention's output
	FFNBias  bool   `json:"mlp_bias,omitempty"`   // of gate, up and down
	QKNorm   bool   `json:"qk_norm,omitempty"`    // every head of queries and keys is normed before it is turned
	// Window is how many positions a query attends to, its own the last; 0: all before it.
	Window      int         `json:"sliding_window,omitempty"`
	RopeScaling RopeScaling `json:"rope_scaling,omitzero"`
	// RopeLayers has a 1 for every layer that turns queries and keys by their positions, and a 0 for every one that
	// does not; "": all do.
	RopeLayers string `json:"rope_layers,omitempty"`
}

// HeadDim is the length of one head's query.
func (c Config) HeadDim() int {
	if c.HeadSize != 0 {
		return c.HeadSize
	}
	return c.Hidden / c.Heads
}

// noRope reports whether a layer, counted from the embedding's side, leaves queries and keys as they are.
func (c Config) noRope(layer int) bool {
	return layer < len(c.RopeLayers) && c.RopeLayers[layer] == '0'
}

// QDim is the length of all queries of a token: HeadDim x Heads.
func (c Config) QDim() int { return c.HeadDim() * c.Heads }

// KVDim is the length of all keys of a token: HeadDim x KVHeads.
func (c Config) KVDim() int { return c.HeadDim() * c.KVHeads }

// maxParams is where counts stop being exact in float64; no device is near it.
const maxParams = 1 << 53

// maxLayers keeps a typo from becoming a list of a million tensors.
const maxLayers = 10_000

// Validate reports the first thing that no model can have.
func (c Config) Validate() error {
	for _, d := range []struct {
		name  string
		value int
	}{
		{"hidden_size", c.Hidden}, {"intermediate_size", c.FFN}, {"num_hidden_layers", c.Layers},
		{"num_attention_heads", c.Heads},
		{"num_key_value_heads", c.KVHeads}, {"vocab_size", c.Vocab}, {"max_position_embeddings", c.MaxSeqLen},
	} {
		if d.value < 1 {
			return fmt.Errorf("%s is %d: it must be at least 1", d.name, d.value)
		}
	}
	if c.Layers > maxLayers {
		return fmt.Errorf("num_hidden_layers is %d: at most %d are allowed", c.Layers, maxLayers)
	}
	if !(c.NormEps > 0 && c.NormEps < 1) {
		return fmt.Errorf("rms_norm_eps is %g: it must be above 0 and below 1", c.NormEps)
	}
	if !(c.RopeTheta > 0 && c.RopeTheta < 1e30) {
		return fmt.Errorf("rope_theta is %g: it must be above 0 and below 1e30", c.RopeTheta)
	}
	if c.HeadSize < 0 {
		return fmt.Errorf("head_dim is %d: it must be at least 2", c.HeadSize)
	}
	if c.HeadSize == 0 && c.Hidden%c.Heads != 0 {
		return fmt.Errorf("hidden_size %d is not divisible by num_attention_heads %d: every head needs the same size",
			c.Hidden, c.Heads)
	}
	if c.Heads%c.KVHeads != 0 {
		return fmt.Errorf("num_attention_heads %d is not divisible by num_key_value_heads %d: every key-value "+
			"head serves the same number of heads", c.Heads, c.KVHeads)
	}
	if c.HeadDim()%2 != 0 {
		return fmt.Errorf("head size %d (%s) is odd: rotary embeddings turn pairs", c.HeadDim(), c.headSource())
	}
	if err := c.validOptions(); err != nil {
		return err
	}
	if err := validTensors(c, c.blockTensors()); err != nil {
		return err
	}
	// In float64, which cannot wrap.
	block := 0.0
	for _, t := range c.blockTensors() {
		block += t.size(c)
	}
	if n := embedTensor.size(c) + float64(c.Layers)*block + normTensor.size(c) + headTensor.size(c); n > maxParams {
		return fmt.Errorf("the dimensions make about %.2g parameters, more than the %.2g that can be counted",
			n, float64(maxParams))
	}
	return nil
}

// headSource says where the size of a head comes from.
func (c Config) headSource() string {
	if c.HeadSize != 0 {
		return "head_dim"
	}
	return fmt.Sprintf("hidden_size %d / num_attention_heads %d", c.Hidden, c.Heads)
}

// validOptions refuses what only some families have where it has no meaning.
func (c Config) validOptions() error {
	if c.QKNorm && c.HeadDim()%wgsl.HeadNormUnit != 0 {
		return fmt.Errorf("head size %d (%s) with norms of queries and keys: it must be a multiple of %d", c.HeadDim(),
			c.headSource(), wgsl.HeadNormUnit)
	}
	if c.Window < 0 {
		return fmt.Errorf("sliding_window is %d: it must be at least 1, or absent", c.Window)
	}
	if c.RopeLayers != "" && (len(c.RopeLayers) != c.Layers || strings.Trim(c.RopeLayers, "01") != "") {
		return fmt.Errorf("the layers with rotary positions are %q: it must be a 1 or a 0 for each of %d layers",
			c.RopeLayers, c.Layers)
	}
	return c.RopeScaling.Validate()
}

// LinearShape is one of a block's weight matrices, (Out, In), used as y = W x.
type LinearShape struct {
	Name    string
	Out, In int
}

// LinearShapes lists the linears of a block in the order of the forward pass.
func (c Config) LinearShapes() []LinearShape {
	var list []LinearShape
	for _, t := range c.blockTensors() {
		if t.role == RoleLinear {
			shape := t.shape(c)
			list = append(list, LinearShape{t.name, shape[0], shape[1]})
		}
	}
	return list
}

// LayerParams is the paper's P: the linears of one block alone.
func (c Config) LayerParams() int64 {
	var n int64
	for _, t := range c.blockTensors() {
		if t.role == RoleLinear {
			n += t.elements(c)
		}
	}
	return n
}

// BlockParams is all of one block's.
func (c Config) BlockParams() int64 {
	var n int64
	for _, t := range c.blockTensors() {
		n += t.elements(c)
	}
	return n
}

// EmbeddingParams is the token embedding.
func (c Config) EmbeddingParams() int64 { return embedTensor.elements(c) }

// HeadParams is the output matrix: 0 when tied.
func (c Config) HeadParams() int64 {
	if c.Tied {
		return 0
	}
	return headTensor.elements(c)
}

// TotalParams counts every parameter once, the final norm included.
func (c Config) TotalParams() int64 {
	return c.EmbeddingParams() + int64(c.Layers)*c.BlockParams() + normTensor.elements(c) + c.HeadParams()
}

// LinearNames are the names that LoRA may target, in the order of LinearShapes.
func LinearNames() []string {
	var names []string
	for _, t := range blockTensors {
		if t.role == RoleLinear {
			names = append(names, t.name)
		}
	}
	return names
}

// LoRAParams is the paper's E(P): what LoRA of the given rank adds to one
// block, rank x (in + out) for every targeted linear (A is rank x in, B is out x
// rank). No targets means none.
func (c Config) LoRAParams(rank int, targets []string) (int64, error) {
	var n int64
	for i, target := range targets {
		at := slices.IndexFunc(c.LinearShapes(), func(l LinearShape) bool { return l.Name == target })
		if at < 0 {
			return 0, fmt.Errorf("LoRA target %q is none of a block's linears: %s", target,
				strings.Join(LinearNames(), ", "))
		}
		if slices.Contains(targets[:i], target) {
			return 0, fmt.Errorf("LoRA target %q is given twice", target)
		}
		l := c.LinearShapes()[at]
		if rank < 1 || rank > min(l.Out, l.In) {
			return 0, fmt.Errorf("LoRA rank %d does not fit %s of %d x %d: it must be 1 to %d",
				rank, l.Name, l.Out, l.In, min(l.Out, l.In))
		}
		n += int64(rank) * int64(l.Out+l.In)
	}
	return n, nil
}
