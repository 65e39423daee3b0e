// Package model is LLaMA: configuration, one table of a block's tensors, named
// parameters with roles, LoRA; forward and backward as lists of kernel calls; byte
// and FLOP counts.
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
// batch, that they use what blockTensors lists, and that a parameter is frozen exactly
// when it has no gradient: ask Param.Trainable, keep no second flag.
package model

import (
	"slices"

	"steplm/gpu"
)

// Param is a weight and, if it trains, its gradient. Frozen <=> no gradient
// <=> no optimizer state.
type Param struct {
	Name   string // blocks.<id>.wq, blocks.<id>.wq.lora_a, embed, norm, head
	Role   Role
	Block  int // its block's ID; outside the blocks NoBlock
	Weight gpu.Tensor
	Scales gpu.Tensor // of an int8 weight's groups
	Grad   gpu.Tensor // none: frozen; under gradient release a view of the slab
	Master gpu.Tensor // what completes the weight to its f32 master, see Storage
}

// Trainable reports whether the parameter has a gradient.
func (p *Param) Trainable() bool { return !p.Grad.None() }

// LoRA is y += Scale B A x.
type LoRA struct {
	A     *Param // (R, in)
	B     *Param // (out, R)
	Rank  int
	Scale float32 // alpha / R, or alpha / sqrt(R), see LoRALayout
}

// Linear is y = W x + b, with LoRA or without.
type Linear struct {
	*Param  // (Out, In)
	Out, In int
	LoRA    *LoRA
	Bias    *Param // (Out); nil: none
	at      int    // among its block's linears
}

// Block is one Transformer layer: what blockTensors lists, by name for forward and
// backward, and as lists for all else.
type Block struct {
	ID                int
	NoRope            bool   // queries and keys are not turned by their positions
	AttnNorm, FFNNorm *Param // (C)
	QNorm, KNorm      *Param // (D), of every head; nil: none
	WQ, WK, WV, WO    *Linear
	Gate, Up, Down    *Linear

	params  []*Param // in the table's order, without LoRA
	linears []*Linear
}

// Linears lists the block's linears in the order of LinearNames.
func (b *Block) Linears() []*Linear { return b.linears }

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
// that is to be int8 is quantized. New blocks and LoRA are for the caller to
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
		ok = ok && slices.Equal(s.Weight.Shape, p.Weight.Shape) // LoRA of another rank is another
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
		p = &Param{Name: s.Weight.Name, Role: s.Role, Block: s.Block}
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
	m.Embed, m.Norm, m.Head = m.params[embedTensor.name], m.params[normTensor.name], m.params[embedTensor.name]
	if !m.Tied {
		m.Head = m.params[headTensor.name]
	}
	m.Blocks = nil
	for _, b := range m.Layout.Blocks {
		m.Blocks = append(m.Blocks, m.block(b))
	}
}

// block points a block's fields at its parameters.
func (m *Model) block(layout BlockLayout) *Block {
	b := &Block{ID: layout.ID, NoRope: layout.NoRope}
	for _, t := range m.blockTensors() {
		p := m.params[layout.Name(t.name)]
		b.params = append(b.params, p)
		if t.role != RoleLinear {
			*t.param(b) = p
			continue
		}
		l := &Linear{Param: p, Out: p.Weight.Rows(), In: p.Weight.Cols(), at: len(b.linears)}
		if a := m.params[p.Name+loraA]; a != nil {
			lora := m.Layout.LoRA
			l.LoRA = &LoRA{A: a, B: m.params[p.Name+loraB], Rank: lora.Rank, Scale: float32(lora.Scale())}
		}
		b.linears = append(b.linears, l)
		*t.linear(b) = l
	}
	return b
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
