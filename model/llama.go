// Package model is LLaMA: configuration, named parameters, blocks, adapters;
// forward and backward as lists of kernel calls; byte and FLOP counts.
//
// A Layout says, with no device, what a model consists of at some moment of a
// run; the same code that lists its tensors for a plan allocates them. Blocks
// carry a stable ID: positions change when layers are inserted, IDs do not, and
// initialisation, optimizer state and checkpoints key on them.
//
// Legend: B batch, T positions, C hidden size, H query heads, K key-value
// heads, D head size, F feed-forward size, V vocabulary; rows = B T.
//
// What Go cannot enforce: that Backward is called after Forward on the same
// batch, and that a parameter is frozen exactly when it has no gradient: ask
// Param.Trainable, keep no second flag.
package model

import (
	"slices"

	"steplm/gpu"
)

// Param is a weight and, if it trains, its gradient. Frozen <=> no gradient
// <=> no optimizer state.
type Param struct {
	Name   string // blocks.<id>.wq, blocks.<id>.wq.lora_a, embed, norm, head
	Weight gpu.Tensor
	Scales gpu.Tensor // of an int8 weight's groups
	Grad   gpu.Tensor // none: frozen; under gradient release a view of the slab
	Master gpu.Tensor // what completes the weight to its f32 master, see Storage
	Decay  bool       // weight decay applies (matrices, not norms)
}

// Trainable reports whether the parameter has a gradient.
func (p *Param) Trainable() bool { return !p.Grad.None() }

// Adapter reports whether the parameter belongs to a LoRA adapter.
func (p *Param) Adapter() bool { return p.Weight.Class == gpu.Adapters }

// LoRA is y += (Alpha/Rank) B A x.
type LoRA struct {
	A     *Param // (R, in)
	B     *Param // (out, R)
	Rank  int
	Scale float32 // alpha / R
}

// Linear is y = W x, with an optional adapter.
type Linear struct {
	*Param  // (Out, In)
	Out, In int
	LoRA    *LoRA
}

// Block is one Transformer layer.
type Block struct {
	ID                int
	AttnNorm, FFNNorm *Param // (C)
	WQ, WK, WV, WO    *Linear
	Gate, Up, Down    *Linear
}

// Linears lists the block's linears in the order of LinearNames.
func (b *Block) Linears() []*Linear {
	return []*Linear{b.WQ, b.WK, b.WV, b.WO, b.Gate, b.Up, b.Down}
}

// Norms lists the block's norms in the order of the forward pass.
func (b *Block) Norms() []*Param { return []*Param{b.AttnNorm, b.FFNNorm} }

// Model is a LLaMA on a device.
type Model struct {
	Layout
	dev    gpu.Device
	Embed  *Param // (V, C)
	Blocks []*Block
	Norm   *Param // (C)
	Head   *Param // (V, C); the embedding's when tied
	params map[string]*Param
	list   []*Param   // in the layout's order
	slab   gpu.Tensor // that gradients share under release
}

// New allocates the layout's weights and gradients on a device, all zero.
func New(dev gpu.Device, l Layout) (*Model, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	m := &Model{dev: dev, params: map[string]*Param{}}
	if err := m.Apply(l); err != nil {
		m.Free()
		return nil, err
	}
	return m, nil
}

// Device is where the model's tensors are.
func (m *Model) Device() gpu.Device { return m.dev }

// Apply changes the model to another layout: tensors that both have are kept
// with their values, others are freed first and then made, all zero; a weight
// that is to be int8 is quantized. New blocks and adapters are for the caller to
// fill.
func (m *Model) Apply(l Layout) error {
	if err := l.Validate(); err != nil {
		return err
	}
	specs := l.Params()
	want := map[string]ParamSpec{}
	for _, s := range specs {
		want[s.Weight.Name] = s
	}
	m.freeSlab()
	for name, p := range m.params {
		s, ok := want[name]
		ok = ok && slices.Equal(s.Weight.Shape, p.Weight.Shape) // adapters of another rank are others
		m.drop(&p.Grad, s.Grad, ok)
		m.drop(&p.Master, s.Master, ok)
		if !ok {
			m.dev.Free(p.Weight)
			m.dev.Free(p.Scales)
			delete(m.params, name)
		}
	}
	if err := m.quantize(want); err != nil {
		return err
	}
	if s := l.slabSpec(); s.Name != "" {
		var err error
		if m.slab, err = m.dev.New(s); err != nil {
			return err
		}
	}
	m.list = nil
	for _, s := range specs {
		if err := m.allocate(s, l.ownGradient(s.Weight.Name)); err != nil {
			return err
		}
		m.list = append(m.list, m.params[s.Weight.Name])
	}
	m.Layout = l
	m.link()
	return nil
}

// drop frees a tensor that is not as wanted.
func (m *Model) drop(t *gpu.Tensor, want gpu.Spec, keep bool) {
	if !keep || want.Name == "" || want.DType != t.DType || !slices.Equal(want.Shape, t.Shape) {
		m.dev.Free(*t)
		*t = gpu.Tensor{}
	}
}

// freeSlab frees the memory that gradients share, and with it those.
func (m *Model) freeSlab() {
	if m.slab.None() {
		return
	}
	for _, p := range m.params {
		if !m.ownGradient(p.Name) {
			p.Grad = gpu.Tensor{}
		}
	}
	m.dev.Free(m.slab)
	m.slab = gpu.Tensor{}
}

// allocate makes what a parameter lacks.
func (m *Model) allocate(s ParamSpec, ownGradient bool) error {
	p := m.params[s.Weight.Name]
	if p == nil {
		p = &Param{Name: s.Weight.Name, Decay: s.Decay}
		m.params[p.Name] = p
	}
	for _, part := range []struct {
		tensor *gpu.Tensor
		spec   gpu.Spec
	}{{&p.Weight, s.Weight}, {&p.Scales, s.Scales}, {&p.Master, s.Master}, {&p.Grad, s.Grad}} {
		switch {
		case part.spec.Name == "" || !part.tensor.None():
		case part.tensor == &p.Grad && !ownGradient:
			p.Grad = m.slab.As(s.Grad, 0)
		default:
			t, err := m.dev.New(part.spec)
			if err != nil {
				return err
			}
			*part.tensor = t
		}
	}
	return nil
}

// link points the struct's fields at the parameters of the layout.
func (m *Model) link() {
	m.Embed, m.Norm, m.Head = m.params["embed"], m.params["norm"], m.params["embed"]
	if !m.Tied {
		m.Head = m.params["head"]
	}
	m.Blocks = nil
	for _, bl := range m.Layout.Blocks {
		b := &Block{ID: bl.ID, AttnNorm: m.params[bl.Name("attn_norm")], FFNNorm: m.params[bl.Name("ffn_norm")]}
		shapes := m.LinearShapes()
		linears := make([]*Linear, len(shapes))
		for i, s := range shapes {
			l := &Linear{Param: m.params[bl.Name(s.Name)], Out: s.Out, In: s.In}
			if a := m.params[l.Name+".lora_a"]; a != nil {
				l.LoRA = &LoRA{A: a, B: m.params[l.Name+".lora_b"], Rank: m.Adapter.Rank, Scale: float32(m.Adapter.Alpha / float64(m.Adapter.Rank))}
			}
			linears[i] = l
		}
		b.WQ, b.WK, b.WV, b.WO, b.Gate, b.Up, b.Down = linears[0], linears[1], linears[2], linears[3], linears[4], linears[5], linears[6]
		m.Blocks = append(m.Blocks, b)
	}
}

// Params lists the parameters in the layout's order, shared ones once. Apply
// makes a new list.
func (m *Model) Params() []*Param { return m.list }

// Param finds a parameter by name, or is nil.
func (m *Model) Param(name string) *Param { return m.params[name] }

// Free releases every tensor.
func (m *Model) Free() {
	m.freeSlab()
	for _, p := range m.params {
		for _, t := range []gpu.Tensor{p.Weight, p.Scales, p.Grad, p.Master} {
			m.dev.Free(t)
		}
	}
	clear(m.params)
	m.list = nil
}
