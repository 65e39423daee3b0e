package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"steplm/gpu"
	"steplm/model/checkpoint"
)

// Open loads a model onto a device, for inference: from a checkpoint, with LoRA unmerged and frozen
// weights as they are kept, or from a Hugging Face directory. It needs no more of a checkpoint than
// the layout and the weights.
func Open(dev gpu.Device, dir string) (*Model, error) {
	l, err := ReadLayout(dir)
	switch {
	case err != nil:
		return nil, err
	case !holds(dir, LayoutFile):
		return LoadHF(dev, dir)
	}
	return OpenCheckpoint(dev, dir, l)
}

// ReadLayout says what the model in a checkpoint or a Hugging Face directory consists of.
func ReadLayout(dir string) (Layout, error) {
	if !holds(dir, LayoutFile) {
		c, err := ReadConfig(dir)
		if err != nil {
			return Layout{}, err
		}
		return Plain(c, c.Layers).ForInference(), nil
	}
	var l Layout
	if err := checkpoint.Verify(dir, LayoutFile); err != nil {
		return l, err
	}
	path := filepath.Join(dir, LayoutFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return l, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // Else it would be another model.
	if err := d.Decode(&l); err != nil {
		return l, fmt.Errorf("%s: %w", path, err)
	}
	if err := l.Validate(); err != nil {
		return l, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// holds reports whether a directory has a file, or a checkpoint should.
func holds(dir, file string) bool {
	_, err := os.Stat(filepath.Join(dir, file))
	return !errors.Is(err, fs.ErrNotExist) || checkpoint.Lists(dir, file)
}

// OpenCheckpoint is Open of a checkpoint with a layout that is known otherwise: early ones do not
// have theirs.
func OpenCheckpoint(dev gpu.Device, dir string, trained Layout) (*Model, error) {
	if err := checkpoint.Verify(dir, WeightsFile); err != nil {
		return nil, err
	}
	l := trained.ForInference()
	if err := gpu.CheckFits(dev, gpu.Plan(dev.Own(), l.Specs())); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	m, err := New(dev, l)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	masters := 0
	for _, p := range trained.Params() {
		if p.Master.Name != "" {
			masters++
		}
	}
	if err := LoadTensors(dev, filepath.Join(dir, WeightsFile), m.saved(), masters); err != nil {
		m.Free()
		return nil, err
	}
	return m, nil
}
