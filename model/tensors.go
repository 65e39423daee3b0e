package model

import (
	"fmt"
	"strings"
)

// tensorRow is one of a model's tensors, in the table of what there are.
type tensorRow struct {
	name  string // in code: LLaMA's
	role  Role
	shape func(Config) []int
	hf    string // in files: that of Hugging Face's LlamaForCausalLM, of a block's without its layer
	gguf  string // in GGUF files: that of llama.cpp, likewise
	// turned is how many heads the rows belong to, where rotary embeddings turn what the tensor gives; nil: they do
	// not.
	turned func(Config) int
	// Of a block's: where forward and backward find it, the one or the other as its role
	// says.
	param  func(*Block) **Param
	linear func(*Block) **Linear
	has    func(Config) bool // nil: every model has it
}

// blockTensors is the one table of what a block consists of, in the order of the forward
// pass. What lists, counts, makes, grows, reads or writes a block's tensors goes over it, or
// over what of it a configuration has: Config.blockTensors.
var blockTensors = []tensorRow{
	norm("attn_norm", "input_layernorm.weight", "attn_norm.weight",
		func(b *Block) **Param { return &b.AttnNorm }),
	turned(Config.heads, linear("wq", Config.QDim, Config.hidden, "self_attn.q_proj.weight", "attn_q.weight",
		func(b *Block) **Linear { return &b.WQ })),
	turned(Config.heads, bias("wq_bias", Config.QDim, "self_attn.q_proj.bias", "attn_q.bias", Config.qkvBias,
		func(b *Block) *Linear { return b.WQ })),
	turned(Config.kvHeads, linear("wk", Config.KVDim, Config.hidden, "self_attn.k_proj.weight", "attn_k.weight",
		func(b *Block) **Linear { return &b.WK })),
	turned(Config.kvHeads, bias("wk_bias", Config.KVDim, "self_attn.k_proj.bias", "attn_k.bias", Config.qkvBias,
		func(b *Block) *Linear { return b.WK })),
	linear("wv", Config.KVDim, Config.hidden, "self_attn.v_proj.weight", "attn_v.weight",
		func(b *Block) **Linear { return &b.WV }),
	bias("wv_bias", Config.KVDim, "self_attn.v_proj.bias", "attn_v.bias", Config.qkvBias,
		func(b *Block) *Linear { return b.WV }),
	headNorm("q_norm", "self_attn.q_norm.weight", "attn_q_norm.weight",
		func(b *Block) **Param { return &b.QNorm }),
	headNorm("k_norm", "self_attn.k_norm.weight", "attn_k_norm.weight",
		func(b *Block) **Param { return &b.KNorm }),
	linear("wo", Config.hidden, Config.QDim, "self_attn.o_proj.weight", "attn_output.weight",
		func(b *Block) **Linear { return &b.WO }),
	bias("wo_bias", Config.hidden, "self_attn.o_proj.bias", "attn_output.bias", Config.outBias,
		func(b *Block) *Linear { return b.WO }),
	norm("ffn_norm", "post_attention_layernorm.weight", "ffn_norm.weight",
		func(b *Block) **Param { return &b.FFNNorm }),
	linear("gate", Config.ffn, Config.hidden, "mlp.gate_proj.weight", "ffn_gate.weight",
		func(b *Block) **Linear { return &b.Gate }),
	bias("gate_bias", Config.ffn, "mlp.gate_proj.bias", "ffn_gate.bias", Config.ffnBias,
		func(b *Block) *Linear { return b.Gate }),
	linear("up", Config.ffn, Config.hidden, "mlp.up_proj.weight", "ffn_up.weight",
		func(b *Block) **Linear { return &b.Up }),
	bias("up_bias", Config.ffn, "mlp.up_proj.bias", "ffn_up.bias", Config.ffnBias,
		func(b *Block) *Linear { return b.Up }),
	linear("down", Config.hidden, Config.ffn, "mlp.down_proj.weight", "ffn_down.weight",
		func(b *Block) **Linear { return &b.Down }),
	bias("down_bias", Config.hidden, "mlp.down_proj.bias", "ffn_down.bias", Config.ffnBias,
		func(b *Block) *Linear { return b.Down }),
}

// The names in files of the two tensors that may be one, see Config.Tied: (V, C) each.
const (
	HFEmbed = "model.embed_tokens.weight"
	HFHead  = "lm_head.weight"
)

// The tensors outside the blocks.
var (
	embedTensor = tensorRow{name: "embed", role: RoleEmbedding, shape: vocabulary, hf: HFEmbed,
		gguf: "token_embd.weight"}
	normTensor = tensorRow{name: "norm", role: RoleNorm, shape: vector(Config.hidden), hf: "model.norm.weight",
		gguf: "output_norm.weight"}
	headTensor = tensorRow{name: "head", role: RoleHead, shape: vocabulary, hf: HFHead,
		gguf: "output.weight"} // unless tied
)

func (c Config) hidden() int   { return c.Hidden }
func (c Config) ffn() int      { return c.FFN }
func (c Config) heads() int    { return c.Heads }
func (c Config) kvHeads() int  { return c.KVHeads }
func (c Config) qkvBias() bool { return c.QKVBias }
func (c Config) outBias() bool { return c.OutBias }
func (c Config) ffnBias() bool { return c.FFNBias }
func (c Config) qkNorm() bool  { return c.QKNorm }

// blockTensors is what of the table a block of this configuration has.
func (c Config) blockTensors() []tensorRow {
	list := make([]tensorRow, 0, len(blockTensors))
	for _, t := range blockTensors {
		if t.has == nil || t.has(c) {
			list = append(list, t)
		}
	}
	return list
}

func vocabulary(c Config) []int { return []int{c.Vocab, c.Hidden} }

func vector(n func(Config) int) func(Config) []int {
	return func(c Config) []int { return []int{n(c)} }
}

// norm is a row of blockTensors.
func norm(name, hf, gguf string, at func(*Block) **Param) tensorRow {
	return tensorRow{name: name, role: RoleNorm, shape: vector(Config.hidden), hf: hf, gguf: gguf, param: at}
}

// linear is a row of blockTensors: (out, in), used as y = W x.
func linear(name string, out, in func(Config) int, hf, gguf string, at func(*Block) **Linear) tensorRow {
	shape := func(c Config) []int { return []int{out(c), in(c)} }
	return tensorRow{name: name, role: RoleLinear, shape: shape, hf: hf, gguf: gguf, linear: at}
}

// turned is a row whose rows belong to heads that rotary embeddings turn.
func turned(heads func(Config) int, t tensorRow) tensorRow {
	t.turned = heads
	return t
}

// headNorm is a row of blockTensors: one weight for every head of queries or keys.
func headNorm(name, hf, gguf string, at func(*Block) **Param) tensorRow {
	return tensorRow{name: name, role: RoleNorm, shape: vector(Config.HeadDim), hf: hf, gguf: gguf, param: at,
		has: Config.qkNorm}
}

// bias is a row of blockTensors, behind that of the linear that it belongs to.
func bias(name string, n func(Config) int, hf, gguf string, has func(Config) bool,
	of func(*Block) *Linear) tensorRow {
	return tensorRow{name: name, role: RoleBias, shape: vector(n), hf: hf, gguf: gguf, has: has,
		param: func(b *Block) **Param { return &of(b).Bias }}
}

// elements counts a tensor's.
func (t tensorRow) elements(c Config) int64 {
	n := int64(1)
	for _, d := range t.shape(c) {
		n *= int64(d)
	}
	return n
}

// size is elements where those may not fit an integer.
func (t tensorRow) size(c Config) float64 {
	n := 1.0
	for _, d := range t.shape(c) {
		n *= float64(d)
	}
	return n
}

// validTensors refuses a table of a block's tensors that something which goes over it
// could not handle: an unknown role first of all.
func validTensors(c Config, list []tensorRow) error {
	names, files := map[string]bool{}, map[string]bool{}
	for _, t := range list {
		what, known := roles[t.role]
		switch {
		case !known:
			return fmt.Errorf("a block's tensor %q has the unknown role %s", t.name, t.role)
		case !what.block:
			return fmt.Errorf("a block's tensor %q has the role %s, which stands outside the blocks", t.name, t.role)
		case t.name == "" || strings.Contains(t.name, ".") || names[t.name]:
			return fmt.Errorf("a block's tensor has the name %q: it must be given, once, without dots", t.name)
		case t.hf == "" || files[t.hf]:
			return fmt.Errorf("a block's tensor %s has the name %q in files: it must be given, once", t.name, t.hf)
		case t.shape == nil || len(t.shape(c)) != what.dims:
			return fmt.Errorf("a block's tensor %s has no shape of %d dimensions, as a %s has", t.name, what.dims,
				t.role)
		case (t.linear != nil) != (t.role == RoleLinear) || (t.param != nil) == (t.linear != nil):
			return fmt.Errorf("a block's tensor %s, a %s, is not where forward finds one", t.name, t.role)
		}
		names[t.name], files[t.hf] = true, true
	}
	return nil
}
