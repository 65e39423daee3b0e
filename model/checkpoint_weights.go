package model

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"steplm/gpu"
	"steplm/model/checkpoint"
	"steplm/wgsl"
	"steplm/wgsl/matmul"
)

// CheckpointWeights are those of a checkpoint as Weights: what training computed with, LoRA merged, blocks counted by
// position, as Merged has them, but read in pieces from the disk. A piece with LoRA or of int8 is computed on the host.
type CheckpointWeights struct {
	Config Config           // with the blocks that the model has there
	DType  checkpoint.DType // in which the weights are exact
	file   *checkpoint.File
	layout Layout
	host   gpu.Device
	params map[string]savedParam
	a      gpu.Tensor // of the LoRA that was read last
}

// savedParam is a parameter in a checkpoint.
type savedParam struct {
	ParamSpec
	lora bool
}

// OpenCheckpointWeights opens a checkpoint of a layout, as ReadLayout has it. The caller closes the weights.
func OpenCheckpointWeights(dir string, trained Layout) (*CheckpointWeights, error) {
	if err := checkpoint.Verify(dir, WeightsFile); err != nil {
		return nil, err
	}
	file, err := checkpoint.Open(filepath.Join(dir, WeightsFile))
	if err != nil {
		return nil, err
	}
	w := &CheckpointWeights{Config: trained.Config, DType: checkpoint.F32, file: file, layout: trained.ForInference(),
		host: gpu.NewHost(), params: map[string]savedParam{}}
	w.Config.Layers, w.Config.RopeLayers = len(trained.Blocks), trained.RopePattern()
	if trained.Storage.Precision == BF16 && !trained.wrapped() {
		w.DType = checkpoint.BF16
	}
	specs := map[string]ParamSpec{}
	for _, p := range w.layout.Params() {
		if i, ok := file.Info(p.Weight.Name); !ok || i.DType != info(gpu.Tensor{Spec: p.Weight}).DType {
			w.Close()
			return nil, fmt.Errorf("%s: tensor %s is missing or of another type", dir, p.Weight.Name)
		}
		specs[p.Weight.Name] = p
	}
	add := func(file, name string) {
		_, lora := specs[name+loraA]
		w.params[file] = savedParam{specs[name], lora}
	}
	add(embedTensor.hf, embedTensor.name)
	add(normTensor.hf, normTensor.name)
	if !trained.Tied {
		add(headTensor.hf, headTensor.name)
	}
	for i, b := range trained.Blocks {
		for _, t := range trained.blockTensors() {
			add(t.inFiles(i), b.Name(t.name))
		}
	}
	return w, nil
}

// Close ends the reading.
func (w *CheckpointWeights) Close() error {
	w.host.Free(w.a)
	w.host.Close()
	return w.file.Close()
}

// Shape is a tensor's, by its name in Hugging Face's files.
func (w *CheckpointWeights) Shape(name string) ([]int, bool) {
	p, ok := w.params[name]
	return p.Weight.Shape, ok
}

// Names lists the tensors.
func (w *CheckpointWeights) Names() []string { return slices.Sorted(maps.Keys(w.params)) }

// ReadF32 reads whole rows.
func (w *CheckpointWeights) ReadF32(name string, at int, dst []float32) error {
	p, ok := w.params[name]
	if !ok {
		return fmt.Errorf("the checkpoint has no tensor %s", name)
	}
	if !p.lora && p.Weight.DType != gpu.I8 {
		return w.file.ReadF32(p.Weight.Name, at, dst)
	}
	cols := p.Weight.Cols()
	return w.merge(p, at/cols, len(dst)/cols, dst)
}

// merge computes rows of what a linear multiplies by, in f32, as Mixer.Linear does.
func (w *CheckpointWeights) merge(p savedParam, row, n int, dst []float32) error {
	m := &maker{dev: w.host}
	defer func() {
		for _, t := range m.made {
			w.host.Free(t)
		}
	}()
	stored, cols := dtypeOf(w.layout.Storage.Precision), p.Weight.Cols()
	part := m.tensor(gpu.Scratch, p.Weight.DType, "rows", n, cols)
	out := m.tensor(gpu.Scratch, gpu.F32, "rows.f32", n, cols)
	var dense, scales gpu.Tensor
	if p.Weight.DType == gpu.I8 {
		dense = m.tensor(gpu.Scratch, stored, "rows.dense", n, cols)
		scales = m.tensor(gpu.Scratch, gpu.F32, "rows.scales", n, gpu.Groups(cols, wgsl.QuantizeGroup))
	}
	b := m.tensor(gpu.Scratch, stored, "rows.lora_b", n, max(1, w.layout.LoRA.Rank))
	if m.err != nil {
		return m.err
	}
	err := w.rows(part, p.Weight.Name, row)
	if err == nil && p.Weight.DType == gpu.I8 {
		err = w.rows(scales, p.Scales.Name, row)
	}
	if err == nil && p.lora {
		if err = w.rows(b, p.Weight.Name+loraB, row); err == nil {
			err = w.loraA(p.Weight.Name+loraA, stored, cols)
		}
	}
	if err != nil {
		return err
	}
	pass := w.host.Begin("merge")
	if p.Weight.DType == gpu.I8 {
		wgsl.Dequantize(pass, dense, part, scales)
		part = dense
	}
	wgsl.Widen(pass, out, part)
	if p.lora {
		matmul.NN(pass, out, b, w.a, matmul.Shape{M: n, N: cols, K: w.layout.LoRA.Rank,
			Scale: float32(w.layout.LoRA.Scale()), Accumulate: true})
	}
	if err := pass.End(); err != nil {
		return err
	}
	return gpu.ReadRows(w.host, out, 0, dst)
}

// rows fills a tensor with rows of one in the file, from row on.
func (w *CheckpointWeights) rows(to gpu.Tensor, name string, row int) error {
	if !info(to).DType.Float() {
		words := to.Stride() / 4 // of a row
		raw := make([]byte, 4*words*to.Rows())
		if err := w.file.ReadRaw(name, 4*int64(words*row), raw); err != nil {
			return err
		}
		return w.host.Write(to, 0, wordsOf(raw))
	}
	values := make([]float32, to.Elements())
	if err := w.file.ReadF32(name, row*to.Cols(), values); err != nil {
		return err
	}
	return gpu.WriteRows(w.host, to, 0, values)
}

// loraA has the A of a linear ready.
func (w *CheckpointWeights) loraA(name string, stored gpu.DType, cols int) error {
	if !w.a.None() && w.a.Name == name {
		return nil
	}
	w.host.Free(w.a)
	var err error
	if w.a, err = w.host.New(gpu.Spec{Name: name, Class: gpu.Scratch, DType: stored,
		Shape: []int{w.layout.LoRA.Rank, cols}}); err != nil {
		return err
	}
	return w.rows(w.a, name, 0)
}
