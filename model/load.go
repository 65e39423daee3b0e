package model

import (
	"fmt"

	"steplm/gpu"
)

// LoadHF loads a Hugging Face directory (see OpenHF) onto a device, for
// inference, in pieces of a few MiB. It refuses a directory that holds
// tensors which this model has no place for: leaving out a bias, say, would
// compute something else. Blocks have the IDs 0, 1, ...
func LoadHF(dev gpu.Device, dir string) (*Model, error) {
	c, tensors, err := OpenHF(dir)
	if err != nil {
		return nil, err
	}
	defer tensors.Close()
	if unused := Unused(c, tensors); len(unused) > 0 {
		return nil,
			fmt.Errorf("%s: %d tensors have no place in this LLaMA, the first is %s: without them it would be "+
				"another model", dir, len(unused), unused[0])
	}
	l := Plain(c, c.Layers).ForInference()
	if err := gpu.CheckFits(dev, gpu.Plan(dev.Own(), l.Specs())); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	m, err := New(dev, l)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if err := m.read(tensors); err != nil {
		m.Free()
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return m, nil
}

// read fills every parameter from w.
func (m *Model) read(w Weights) error {
	for name, p := range m.hfParams() {
		cols := p.Weight.Cols()
		rows := max(1, pieceElements/cols)
		piece := make([]float32, min(rows, p.Weight.Rows())*cols)
		for row := 0; row < p.Weight.Rows(); row += rows {
			part := piece[:min(rows, p.Weight.Rows()-row)*cols]
			if err := w.ReadF32(name, row*cols, part); err != nil {
				return err
			}
			if err := m.writeRows(p, row, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// hfParams is the model's weights under Hugging Face's names, in which blocks
// count by position: their IDs stay behind. LoRA has no such name.
func (m *Model) hfParams() map[string]*Param {
	list := map[string]*Param{embedTensor.hf: m.Embed, normTensor.hf: m.Norm}
	if !m.Tied {
		list[headTensor.hf] = m.Head
	}
	for i, b := range m.Blocks {
		for j, t := range m.blockTensors() {
			list[t.inFiles(i)] = b.params[j]
		}
	}
	return list
}
