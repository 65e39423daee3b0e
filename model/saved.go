package model

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"steplm/gpu"
	"steplm/model/checkpoint"
)

// Files of a checkpoint that make the model.
const (
	LayoutFile  = "layout.json"       // what it consists of
	WeightsFile = "model.safetensors" // its weights, with what completes them to their masters
)

// saveChunk is about how many values are read and written at once: 4 MiB of f32.
const saveChunk = 1 << 20

// Save writes what the model consists of, and its tensors, into a checkpoint.
func (m *Model) Save(d *checkpoint.Dir) error {
	if err := d.WriteJSON(LayoutFile, m.Layout); err != nil {
		return err
	}
	return SaveTensors(m.dev, d, WeightsFile, m.saved())
}

// Restore fills the model from a checkpoint of its layout.
func (m *Model) Restore(dir string) error {
	return LoadTensors(m.dev, filepath.Join(dir, WeightsFile), m.saved(), 0)
}

// saved lists the tensors that a checkpoint has.
func (m *Model) saved() []gpu.Tensor {
	var list []gpu.Tensor
	for _, p := range m.Params() {
		for _, x := range []gpu.Tensor{p.Weight, p.Scales, p.Master} {
			if !x.None() {
				list = append(list, x)
			}
		}
	}
	return list
}

// info is how a tensor is kept in a file: numbers as such, without padding, so
// that other programs can read them; all else as plain words.
func info(x gpu.Tensor) checkpoint.Info {
	switch x.DType {
	case gpu.F32:
		return checkpoint.Info{Name: x.Name, DType: checkpoint.F32, Shape: x.Shape}
	case gpu.BF16:
		return checkpoint.Info{Name: x.Name, DType: checkpoint.BF16, Shape: x.Shape}
	}
	return checkpoint.Info{Name: x.Name, DType: checkpoint.U32, Shape: []int{x.Words()}}
}

// SaveTensors writes tensors of a device into a file of a checkpoint.
func SaveTensors(dev gpu.Device, d *checkpoint.Dir, file string, tensors []gpu.Tensor) error {
	f, err := d.Create(file)
	if err != nil {
		return err
	}
	var infos []checkpoint.Info
	for _, x := range tensors {
		infos = append(infos, info(x))
	}
	w, err := checkpoint.Create(f, infos)
	if err != nil {
		return err
	}
	for _, x := range tensors {
		err := pieces(x, func(row int, buf []float32) error {
			if info(x).DType.Float() {
				if err := gpu.ReadRows(dev, x, row, buf); err != nil {
					return err
				}
				return w.WriteF32(x.Name, buf)
			}
			if err := dev.Read(x, row, gpu.Words(buf)); err != nil {
				return err
			}
			return w.WriteRaw(x.Name, littleEndian(gpu.Words(buf)))
		})
		if err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Close()
}

// pieces calls do for pieces of a tensor in a shared buffer: whole rows of
// numbers from row on, or words.
func pieces(x gpu.Tensor, do func(row int, buf []float32) error) error {
	rows, cols := x.Words(), 1
	if info(x).DType.Float() {
		rows, cols = x.Rows(), x.Cols()
	}
	most := max(1, saveChunk/cols)
	buf := make([]float32, min(rows, most)*cols)
	for row := 0; row < rows; row += most {
		if err := do(row, buf[:min(most, rows-row)*cols]); err != nil {
			return err
		}
	}
	return nil
}

// littleEndian is words as files have them.
func littleEndian(words []uint32) []byte {
	b := make([]byte, 0, 4*len(words))
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// words is littleEndian's inverse.
func words(b []byte) []uint32 {
	list := make([]uint32, len(b)/4)
	for i := range list {
		list[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return list
}

// LoadTensors fills tensors of a device from a file that SaveTensors wrote, and that holds so many
// others besides.
func LoadTensors(dev gpu.Device, path string, tensors []gpu.Tensor, others int) error {
	f, err := checkpoint.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if n := len(f.Names()); n != len(tensors)+others {
		return fmt.Errorf("%s holds %d tensors, %d are needed", path, n, len(tensors)+others)
	}
	for _, x := range tensors {
		want := info(x)
		if i, ok := f.Info(x.Name); !ok || i.DType != want.DType || !slices.Equal(i.Shape, want.Shape) {
			return fmt.Errorf("%s: tensor %s is %s %v, needed is %s %v",
				path, x.Name, i.DType, i.Shape, want.DType, want.Shape)
		}
		err := pieces(x, func(row int, buf []float32) error {
			if want.DType.Float() {
				if err := f.ReadF32(x.Name, row*x.Cols(), buf); err != nil {
					return err
				}
				return gpu.WriteRows(dev, x, row, buf)
			}
			raw := make([]byte, 4*len(buf))
			if err := f.ReadRaw(x.Name, 4*int64(row), raw); err != nil {
				return err
			}
			return dev.Write(x, row, words(raw))
		})
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// Open loads the model of a checkpoint onto a device, for inference, with LoRA unmerged and frozen weights as they are
// kept. It needs no more of the checkpoint than the layout and the weights. A Hugging Face directory is hf.Open's.
func Open(dev gpu.Device, dir string) (*Model, error) {
	l, err := ReadLayout(dir)
	if err != nil {
		return nil, err
	}
	return OpenCheckpoint(dev, dir, l)
}

// ReadLayout says what the model in a checkpoint consists of. The error is fs.ErrNotExist where the folder has no
// layout, and should have none: see HoldsLayout.
func ReadLayout(dir string) (Layout, error) {
	var l Layout
	if !HoldsLayout(dir) {
		return l, fmt.Errorf("%s has no %s: %w", dir, LayoutFile, fs.ErrNotExist)
	}
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

// HoldsLayout reports whether a folder has a checkpoint's layout, or should have it: it then is no Hugging Face
// directory.
func HoldsLayout(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, LayoutFile))
	return !errors.Is(err, fs.ErrNotExist) || checkpoint.Lists(dir, LayoutFile)
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
