package model

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"steplm/gpu"
	"steplm/model/checkpoint"
	"steplm/wgsl"
	"steplm/wgsl/matmul"
)

// Stored is the model of a checkpoint in its files, read in pieces of a few MiB, with no device to hold it.
type Stored struct {
	Layout  Layout
	file    *checkpoint.File
	host    gpu.Device // what pieces are computed on: plain Go
	weights map[string]storedTensor
	names   []string // in files
}

// storedTensor is where one of the model's tensors is kept.
type storedTensor struct {
	spec ParamSpec
	lora bool // A and B are kept beside it
}

// OpenStored opens a checkpoint with its layout, once its weights are what they were when they were saved. Close it.
func OpenStored(dir string, l Layout) (*Stored, error) {
	if err := checkpoint.Verify(dir, WeightsFile); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, WeightsFile)
	file, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	s := &Stored{Layout: l.ForInference(), file: file, host: gpu.NewHost(), weights: map[string]storedTensor{}}
	if err := s.find(); err != nil {
		s.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// find goes over the layout's tensors in their order, which is that of files, and refuses what is not kept as it says.
func (s *Stored) find() error {
	files := s.Config().FileTensors()
	for _, p := range s.Layout.Params() {
		for _, spec := range []gpu.Spec{p.Weight, p.Scales} {
			if spec.Name == "" {
				continue
			}
			want := info(gpu.Tensor{Spec: spec})
			if p.Weight.DType == gpu.I8 && spec.Name == p.Weight.Name {
				want.Shape = []int{spec.Words()}
			}
			if i, ok := s.file.Info(spec.Name); !ok || i.DType != want.DType || !slices.Equal(i.Shape, want.Shape) {
				return fmt.Errorf("tensor %s is %s %v, needed is %s %v", spec.Name, i.DType, i.Shape, want.DType,
					want.Shape)
			}
		}
		if p.Role.LoRA() {
			of := s.weights[s.names[len(s.names)-1]]
			of.lora = true
			s.weights[s.names[len(s.names)-1]] = of
			continue
		}
		name := files[len(s.names)].HF
		s.names = append(s.names, name)
		s.weights[name] = storedTensor{spec: p}
	}
	return nil
}

// Config is the model's, with the blocks that it has now.
func (s *Stored) Config() Config {
	c := s.Layout.Config
	c.Layers, c.RopeLayers = len(s.Layout.Blocks), s.Layout.RopePattern()
	return c
}

// Close releases the files.
func (s *Stored) Close() error {
	s.host.Close()
	return s.file.Close()
}

// DType is the type in which what training computed with is exact, LoRA left aside.
func (s *Stored) DType() checkpoint.DType {
	return info(gpu.Tensor{Spec: s.Layout.Params()[0].Weight}).DType
}

// Adapted reports whether linears carry LoRA.
func (s *Stored) Adapted() bool { return s.Layout.wrapped() }

// Merged is the weights with LoRA in them, as Model.Merged has them.
func (s *Stored) Merged() Weights { return storedWeights{s, true} }

// Base is the weights that LoRA stands beside.
func (s *Stored) Base() Weights { return storedWeights{s, false} }

// StoredLoRA is one linear's LoRA.
type StoredLoRA struct {
	HF      string // the name in files of the weight beside which it stands
	Layer   int    // that its block is now
	Target  string // the linear's name in LoRALayout.Targets
	Rank    int
	In, Out int
}

// LoRA lists the linears that carry it, in the order of files.
func (s *Stored) LoRA() []StoredLoRA {
	var list []StoredLoRA
	for _, name := range s.names {
		t := s.weights[name]
		if !t.lora {
			continue
		}
		shape := t.spec.Weight.Shape
		list = append(list, StoredLoRA{HF: name, Rank: s.Layout.LoRA.Rank, In: shape[1], Out: shape[0],
			Layer:  slices.IndexFunc(s.Layout.Blocks, func(b BlockLayout) bool { return b.ID == t.spec.Block }),
			Target: t.spec.Weight.Name[strings.LastIndexByte(t.spec.Weight.Name, '.')+1:]})
	}
	return list
}

// ReadLoRA fills dst with elements of A (Rank, In), or of B (Out, Rank), from element at on.
func (s *Stored) ReadLoRA(l StoredLoRA, b bool, at int, dst []float32) error {
	suffix := loraA
	if b {
		suffix = loraB
	}
	return s.file.ReadF32(s.weights[l.HF].spec.Weight.Name+suffix, at, dst)
}

// storedWeights are the tensors of a Stored.
type storedWeights struct {
	*Stored
	merged bool
}

// Names lists the tensors.
func (w storedWeights) Names() []string { return slices.Clone(w.names) }

// Shape is a tensor's.
func (w storedWeights) Shape(name string) ([]int, bool) {
	t, ok := w.weights[name]
	return t.spec.Weight.Shape, ok
}

// ReadF32 reads elements, of linears whole rows.
func (w storedWeights) ReadF32(name string, at int, dst []float32) error {
	t, ok := w.weights[name]
	if !ok {
		return fmt.Errorf("the model has no tensor %s", name)
	}
	merges := w.merged && t.lora
	if !merges && t.spec.Weight.DType != gpu.I8 {
		return w.file.ReadF32(t.spec.Weight.Name, at, dst)
	}
	if cols := t.spec.Weight.Cols(); at%cols != 0 || len(dst)%cols != 0 {
		return fmt.Errorf("tensor %s: %d elements from %d are not whole rows of %d", name, len(dst), at, cols)
	}
	return w.compute(t.spec.Weight, at, dst, merges)
}

// compute reads rows as a linear multiplies by them, by the kernels that a device would take, in plain Go.
func (s *Stored) compute(of gpu.Spec, at int, dst []float32, merges bool) error {
	cols := of.Cols()
	row, rows := at/cols, len(dst)/cols
	dtype, rank := dtypeOf(s.Layout.Storage.Precision), s.Layout.LoRA.Rank
	r := room{s: s, of: of}
	defer r.free()
	out := r.make(".f32", gpu.F32, rows, cols)
	var q, scales, dense, a, b gpu.Tensor
	if of.DType == gpu.I8 {
		groups := gpu.Groups(cols, wgsl.QuantizeGroup)
		q, scales = r.make("", gpu.I8, rows, cols), r.make(".scales", gpu.F32, rows, groups)
		dense = r.make(".dense", dtype, rows, cols)
		r.fillWords(q, row)
		r.fill(scales, ".scales", row*groups)
	} else {
		r.fill(out, "", at)
	}
	if merges {
		a, b = r.make(loraA, dtype, rank, cols), r.make(loraB, dtype, rows, rank)
		r.fill(a, loraA, 0)
		r.fill(b, loraB, row*rank)
	}
	if r.err != nil {
		return r.err
	}
	pass := s.host.Begin("merge")
	if !q.None() {
		wgsl.Dequantize(pass, dense, q, scales)
		wgsl.Widen(pass, out, dense)
	}
	if merges {
		matmul.NN(pass, out, b, a, matmul.Shape{M: rows, N: cols, K: rank, Scale: float32(s.Layout.LoRA.Scale()),
			Accumulate: true})
	}
	if err := pass.End(); err != nil {
		return err
	}
	return gpu.ReadRows(s.host, out, 0, dst)
}

// room is tensors for rows of a stored one. The first error sticks.
type room struct {
	s    *Stored
	of   gpu.Spec
	made []gpu.Tensor
	err  error
}

func (r *room) make(suffix string, dtype gpu.DType, rows, cols int) (x gpu.Tensor) {
	if r.err == nil {
		x, r.err = r.s.host.New(gpu.Spec{Name: r.of.Name + suffix, Class: gpu.Scratch, DType: dtype,
			Shape: []int{rows, cols}})
		r.made = append(r.made, x)
	}
	return x
}

func (r *room) free() {
	for _, x := range r.made {
		r.s.host.Free(x)
	}
}

// fill reads numbers from element at of a stored tensor on.
func (r *room) fill(x gpu.Tensor, suffix string, at int) {
	if r.err != nil {
		return
	}
	values := make([]float32, x.Rows()*x.Cols())
	if r.err = r.s.file.ReadF32(r.of.Name+suffix, at, values); r.err == nil {
		r.err = gpu.WriteRows(r.s.host, x, 0, values)
	}
}

// fillWords reads rows of an int8 tensor, whose words are kept as they are.
func (r *room) fillWords(x gpu.Tensor, row int) {
	if r.err != nil {
		return
	}
	raw := make([]byte, 4*x.Words())
	stride := int64(r.of.Words() / r.of.Rows())
	if r.err = r.s.file.ReadRaw(r.of.Name, 4*int64(row)*stride, raw); r.err == nil {
		r.err = r.s.host.Write(x, 0, words(raw))
	}
}
