package model

import "steplm/gpu"

// What this package's tests, which are external, see of its inside.

var (
	EditDistance = editDistance
	Fresh        = fresh
	DTypeOf      = dtypeOf
)

const InitChunk = initChunk

// All are the tensors of the activations.
func (a *Activations) All() []gpu.Tensor { return a.all }

// HFParams are the weights by their names in files.
func (m *Model) HFParams() map[string]*Param { return m.hfParams() }

// Linear finds a linear by its name.
func (m *Model) Linear(name string) *Linear { return m.linear(name) }

// Dense fills room with a parameter's weight as products take it.
func (m *Model) Dense(p *gpu.Pass, of *Param, room gpu.Tensor) { m.dense(p, of, room) }

// Up is what stands around the linear up of the first block: its input and output, and their gradients.
type Up struct{ In, Out, DIn, DOut gpu.Tensor }

// Up is the first block's.
func (a *Activations) Up() Up {
	x := a.block(0)
	return Up{x.h2, x.up, a.dh, a.dup}
}

// ForwardUp computes Out.
func (m *Model) ForwardUp(p *gpu.Pass, a *Activations) {
	x := a.block(0)
	m.forward(p, m.Blocks[0].Up, a, x, x.up, x.h2, gpu.Tensor{})
}

// BackwardUp computes DIn and the gradients of LoRA.
func (m *Model) BackwardUp(p *gpu.Pass, a *Activations) {
	x := a.block(0)
	m.backward(p, m.Blocks[0].Up, a, x, a.dh, a.dup, x.h2, false, Gradients{Scale: 1})
}
