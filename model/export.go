package model

import (
	"fmt"
	"maps"
	"slices"

	"steplm/gpu"
	"steplm/model/checkpoint"
)

// shardBytes is how large a file of an exported model becomes.
const shardBytes = 4 << 30

// WriteHF writes the model, with the blocks that it has now, into d as Hugging
// Face's LlamaForCausalLM (see the function WriteHF): what training computed
// with, LoRA merged, padding cut. It is bf16, exactly, where training computed
// with bf16 weights; with LoRA it is f32, since the sum of a weight and its LoRA
// is no bf16 number.
func (m *Model) WriteHF(d *checkpoint.Dir, bos, eos *int) error {
	dtype := checkpoint.F32
	if m.Storage.Precision == BF16 && !m.wrapped() {
		dtype = checkpoint.BF16
	}
	x, err := m.NewMixer()
	if err != nil {
		return err
	}
	defer x.Free()
	c := m.Config
	c.Layers = len(m.Layout.Blocks)
	return WriteHF(d, c, &onDevice{m: m, mixer: x, params: m.hfParams()}, dtype, shardBytes, bos, eos)
}

// onDevice is a device's tensors as Weights.
type onDevice struct {
	m      *Model
	mixer  *Mixer
	params map[string]*Param
	name   string     // of the linear that was read last
	merged gpu.Tensor // it, in the mixer's room
}

func (o *onDevice) Shape(name string) ([]int, bool) {
	p, ok := o.params[name]
	if !ok {
		return nil, false
	}
	return p.Weight.Shape, true
}

// ReadF32 reads whole rows.
func (o *onDevice) ReadF32(name string, at int, dst []float32) error {
	p, ok := o.params[name]
	if !ok {
		return fmt.Errorf("the model has no tensor %s", name)
	}
	from := p.Weight
	if l := o.m.linear(p.Name); l != nil && (l.LoRA != nil || p.Weight.DType == gpu.I8) {
		if o.name != name {
			pass := o.m.dev.Begin("merge")
			o.merged = o.mixer.Linear(pass, 0, l)
			if err := pass.End(); err != nil {
				return err
			}
			o.name = name
		}
		from = o.merged
	}
	return gpu.ReadRows(o.m.dev, from, at/from.Cols(), dst)
}

func (o *onDevice) Names() []string { return slices.Sorted(maps.Keys(o.params)) }

// linear finds a block's linear by its parameter's name, or is nil.
func (m *Model) linear(name string) *Linear {
	for _, b := range m.Blocks {
		for _, l := range b.Linears() {
			if l.Name == name {
				return l
			}
		}
	}
	return nil
}
