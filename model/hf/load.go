package hf

import (
	"fmt"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
)

// OpenWhole is OpenTensors that refuses a directory which holds tensors that the
// model has no place for: leaving out a bias, say, would compute something else.
func OpenWhole(dir string) (model.Config, *checkpoint.Tensors, error) {
	c, tensors, err := OpenTensors(dir)
	if err != nil {
		return c, nil, err
	}
	if unused := Unused(c, tensors); len(unused) > 0 {
		tensors.Close()
		return c, nil, fmt.Errorf("%s: %d tensors have no place in this LLaMA, the first is %s: without them it would "+
			"be another model", dir, len(unused), unused[0])
	}
	return c, tensors, nil
}

// Load loads a Hugging Face directory (see OpenWhole) onto a device, for
// inference, in pieces of a few MiB. Blocks have the IDs 0, 1, ...
func Load(dev gpu.Device, dir string) (*model.Model, error) {
	c, tensors, err := OpenWhole(dir)
	if err != nil {
		return nil, err
	}
	defer tensors.Close()
	l := model.Plain(c, c.Layers).ForInference()
	if err := gpu.CheckFits(dev, gpu.Plan(dev.Own(), l.Specs())); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	m, err := model.New(dev, l)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if err := m.Read(tensors); err != nil {
		m.Free()
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return m, nil
}

// Open loads a model that a run or another program left onto a device, for inference: a checkpoint (see model.Open)
// where the folder has a layout, else a Hugging Face directory.
func Open(dev gpu.Device, dir string) (*model.Model, error) {
	if model.HoldsLayout(dir) {
		return model.Open(dev, dir)
	}
	return Load(dev, dir)
}

// ReadLayout says what the model that Open would load consists of.
func ReadLayout(dir string) (model.Layout, error) {
	if model.HoldsLayout(dir) {
		return model.ReadLayout(dir)
	}
	c, err := ReadConfig(dir)
	if err != nil {
		return model.Layout{}, err
	}
	return model.Plain(c, c.Layers).ForInference(), nil
}
