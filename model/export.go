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
// Face's LlamaForCausalLM in float32 (see the function WriteHF). Adapters have
// no place in those files: it fails while a block carries some, and whoever
// calls merges them first.
func (m *Model) WriteHF(d *checkpoint.Dir, bos, eos *int) error {
	for _, b := range m.Layout.Blocks {
		if b.Wrapped {
			return fmt.Errorf("writing a model: block %d carries adapters; merge them into its weights first", b.ID)
		}
	}
	c := m.Config
	c.Layers = len(m.Layout.Blocks)
	return WriteHF(d, c, onDevice{m.dev, m.hfParams()}, checkpoint.F32, shardBytes, bos, eos)
}

// onDevice is a device's tensors as Weights.
type onDevice struct {
	dev    gpu.Device
	params map[string]*Param
}

func (o onDevice) Shape(name string) ([]int, bool) {
	p, ok := o.params[name]
	if !ok {
		return nil, false
	}
	return p.Weight.Shape, true
}

func (o onDevice) ReadF32(name string, at int, dst []float32) error {
	p, ok := o.params[name]
	if !ok {
		return fmt.Errorf("the model has no tensor %s", name)
	}
	return o.dev.Read(p.Weight, at, gpu.Words(dst))
}

func (o onDevice) Names() []string { return slices.Sorted(maps.Keys(o.params)) }
