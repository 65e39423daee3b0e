package model

import (
	"fmt"
	"maps"
	"slices"

	"steplm/gpu"
	"steplm/model/checkpoint"
)

// Merged is a model on a device as Weights, for whoever writes it down: what training computed with, LoRA merged,
// padding cut, blocks counted by position. It has room of its own on the device until Free.
type Merged struct {
	Config Config           // with the blocks that the model has now
	DType  checkpoint.DType // in which the weights are exact
	m      *Model
	mixer  *Mixer
	params map[string]*Param
	name   string     // of the linear that was read last
	merged gpu.Tensor // it, in the mixer's room
}

// Merged is the model as it is now. Its type is bf16 where training computed with bf16 weights; with LoRA it is f32,
// since the sum of a weight and its LoRA is no bf16 number.
func (m *Model) Merged() (*Merged, error) {
	x, err := m.NewMixer()
	if err != nil {
		return nil, err
	}
	w := &Merged{Config: m.Config, DType: checkpoint.F32, m: m, mixer: x, params: m.hfParams()}
	if m.Storage.Precision == BF16 && !m.wrapped() {
		w.DType = checkpoint.BF16
	}
	w.Config.Layers, w.Config.RopeLayers = len(m.Layout.Blocks), m.RopePattern()
	return w, nil
}

// Free gives the room back.
func (w *Merged) Free() { w.mixer.Free() }

// Shape is a tensor's, by its name in files.
func (w *Merged) Shape(name string) ([]int, bool) {
	p, ok := w.params[name]
	if !ok {
		return nil, false
	}
	return p.Weight.Shape, true
}

// ReadF32 reads whole rows.
func (w *Merged) ReadF32(name string, at int, dst []float32) error {
	p, ok := w.params[name]
	if !ok {
		return fmt.Errorf("the model has no tensor %s", name)
	}
	from := p.Weight
	if l := w.m.linear(p.Name); l != nil && (l.LoRA != nil || p.Weight.DType == gpu.I8) {
		if w.name != name {
			pass := w.m.dev.Begin("merge")
			w.merged = w.mixer.Linear(pass, 0, l)
			if err := pass.End(); err != nil {
				return err
			}
			w.name = name
		}
		from = w.merged
	}
	return gpu.ReadRows(w.m.dev, from, at/from.Cols(), dst)
}

// Names lists the tensors.
func (w *Merged) Names() []string { return slices.Sorted(maps.Keys(w.params)) }

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
