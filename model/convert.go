package model

import (
	"fmt"
	"hash/fnv"

	"steplm/gpu"
	"steplm/wgsl"
	"steplm/wgsl/matmul"
	"steplm/wgsl/update"
)

// WriteRows stores values (whole rows, without padding) as a parameter's weight
// and, where it trains, its master: the master is the value, the weight its upper
// half.
func (m *Model) WriteRows(p *Param, row int, values []float32) error {
	if p.Weight.DType == gpu.I8 {
		return fmt.Errorf("%s is kept in %s: write it before it freezes", p.Name, Int8)
	}
	if p.Master.None() {
		return gpu.WriteRows(m.dev, p.Weight, row, values)
	}
	cols, stride := p.Weight.Cols(), p.Weight.Stride()
	rows, bits := len(values)/cols, masters[m.Storage.States].bits
	weight := make([]uint32, rows*stride/2)
	low := make([]uint32, rows*stride*bits/32)
	for r := range rows {
		for j, f := range values[r*cols:][:cols] {
			i := r*stride + j
			var hi uint16
			switch m.Storage.States {
			case PaperStates:
				hi, _ = update.SplitBits(f)
				low[i] = gpu.Param(f)
			case SplitStates:
				var lo int16
				hi, lo = update.SplitBits(f)
				low[i/2] |= uint32(uint16(lo)) << (i % 2 * 16)
			case Flash8States:
				var lo int8
				hi, lo = update.Flash8Bits(f)
				low[i/4] |= uint32(uint8(lo)) << (i % 4 * 8)
			}
			weight[i/2] |= uint32(hi) << (i % 2 * 16)
		}
	}
	if err := m.dev.Write(p.Weight, row*stride/2, weight); err != nil {
		return err
	}
	return m.dev.Write(p.Master, row*stride*bits/32, low)
}

// ReadRows reads whole rows of a parameter's values, without padding, from row on: of its master where it has one.
// What WriteRows wrote comes back as model.Storage.Kept has it.
func (m *Model) ReadRows(p *Param, row int, values []float32) error {
	if p.Weight.DType == gpu.I8 {
		return fmt.Errorf("%s is kept in %s, which has no masters", p.Name, Int8)
	}
	if p.Master.None() {
		return gpu.ReadRows(m.dev, p.Weight, row, values)
	}
	cols, stride := p.Weight.Cols(), p.Weight.Stride()
	rows, bits := len(values)/cols, masters[m.Storage.States].bits
	weight := make([]uint32, rows*stride/2)
	low := make([]uint32, rows*stride*bits/32)
	if err := m.dev.Read(p.Weight, row*stride/2, weight); err != nil {
		return err
	}
	if err := m.dev.Read(p.Master, row*stride*bits/32, low); err != nil {
		return err
	}
	for r := range rows {
		for j := range cols {
			i := r*stride + j
			hi := uint16(weight[i/2] >> (i % 2 * 16))
			switch f := &values[r*cols+j]; m.Storage.States {
			case PaperStates:
				*f = gpu.Floats(low[i : i+1])[0]
			case SplitStates:
				*f = update.JoinBits(hi, int16(low[i/2]>>(i%2*16)))
			case Flash8States:
				*f = update.JoinFlash8Bits(hi, int8(low[i/4]>>(i%4*8)))
			}
		}
	}
	return nil
}

// Kept is what becomes of a finite value that is written to a parameter that trains: the value itself where there is
// an f32 master, else the nearest one that the states hold.
func (s Storage) Kept(f float32) float32 {
	switch s.States {
	case StochasticStates:
		return gpu.FromBF16(gpu.BF16Bits(f))
	case Flash8States:
		return update.JoinFlash8Bits(update.Flash8Bits(f))
	}
	return f
}

// quantize turns weights into int8 where wanted.
func (m *Model) quantize(want map[string]ParamSpec) error {
	for _, p := range m.list {
		s := want[p.Name]
		if s.Weight.DType != gpu.I8 || p.Weight.DType == gpu.I8 {
			continue
		}
		if err := m.quantizeParam(p, s); err != nil {
			return err
		}
	}
	return nil
}

// quantizeParam makes a weight int8. Where that fails it is what it was.
func (m *Model) quantizeParam(p *Param, s ParamSpec) error {
	wide, err := m.dev.New(gpu.Spec{Name: "quantize", Class: gpu.Scratch, Shape: p.Weight.Shape})
	if err != nil {
		return err
	}
	defer m.dev.Free(wide)
	weight, err := m.dev.New(s.Weight)
	if err != nil {
		return err
	}
	scales, err := m.dev.New(s.Scales)
	if err != nil {
		m.dev.Free(weight)
		return err
	}
	pass := m.dev.Begin("quantize")
	wgsl.Widen(pass, wide, p.Weight)
	wgsl.Quantize(pass, weight, scales, wide)
	if err := pass.End(); err != nil {
		m.dev.Free(weight)
		m.dev.Free(scales)
		return err
	}
	m.dev.Free(p.Weight)
	p.Weight, p.Scales = weight, scales
	return nil
}

// Mixer has room to compute with two parameters' effective weights in f32, as
// growth and merging do.
type Mixer struct {
	m     *Model
	room  [2]gpu.Tensor // (largest of a block) f32
	dense gpu.Tensor    // (largest linear): an int8 weight as products take it
}

// NewMixer allocates the room.
func (m *Model) NewMixer() (*Mixer, error) {
	x := &Mixer{m: m}
	for i, to := range []*gpu.Tensor{&x.room[0], &x.room[1], &x.dense} {
		words := m.largestOfBlock(gpu.F32)
		if i == 2 {
			if !m.hasInt8() {
				continue
			}
			words = m.largestLinear(dtypeOf(m.Storage.Precision))
		}
		t, err := m.dev.New(gpu.Spec{Name: fmt.Sprintf("mix.%d", i), Class: gpu.Scratch, DType: gpu.U32,
			Shape: []int{words}})
		if err != nil {
			x.Free()
			return nil, err
		}
		*to = t
	}
	return x, nil
}

// Free releases the room.
func (x *Mixer) Free() {
	for _, t := range []gpu.Tensor{x.room[0], x.room[1], x.dense} {
		x.m.dev.Free(t)
	}
}

// Weight is a parameter's working weight in f32, in room i (0 or 1).
func (x *Mixer) Weight(p *gpu.Pass, i int, q *Param) gpu.Tensor {
	out := x.room[i].As(gpu.Spec{Name: q.Name + ".f32", Class: gpu.Scratch, Shape: q.Weight.Shape}, 0)
	wgsl.Widen(p, out, x.m.dense(p, q, x.dense))
	return out
}

// Linear is what a linear multiplies by, W + scale B A, in f32, in room i.
func (x *Mixer) Linear(p *gpu.Pass, i int, l *Linear) gpu.Tensor {
	out := x.Weight(p, i, l.Param)
	if l.LoRA != nil {
		matmul.NN(p, out, l.LoRA.B.Weight, l.LoRA.A.Weight,
			matmul.Shape{M: l.Out, N: l.In, K: l.LoRA.Rank, Scale: l.LoRA.Scale, Accumulate: true})
	}
	return out
}

// Interpolate makes a block's tensors, all of them, wa below + wb above: of a linear the
// effective weights W + scale B A, computed in f32 and rounded once. With wb = 0, above
// is not read. The new block carries no LoRA.
func (x *Mixer) Interpolate(p *gpu.Pass, block, below, above *Block, wa, wb float32) {
	for i, q := range block.params {
		x.Store(p, q, x.effective(p, 0, below, i), x.effective(p, 1, above, i), wa, wb)
	}
}

// effective is what a block computes with in place of its i-th tensor, in f32, in a room.
func (x *Mixer) effective(p *gpu.Pass, room int, b *Block, i int) gpu.Tensor {
	q := b.params[i]
	for _, l := range b.linears {
		if l.Param == q {
			return x.Linear(p, room, l)
		}
	}
	return x.Weight(p, room, q)
}

// Silence makes what a block adds to the residual stream zero, by its two last linears
// and their biases.
func (x *Mixer) Silence(p *gpu.Pass, b *Block) {
	for _, l := range []*Linear{b.WO, b.Down} {
		for _, q := range []*Param{l.Param, l.Bias} {
			if q == nil {
				continue
			}
			wgsl.Zero(p, q.Weight)
			if !q.Master.None() {
				wgsl.Zero(p, q.Master)
			}
		}
	}
}

// Merge adds every LoRA of a block to its weight, rounded to nearest. LoRA must then be dropped or begun
// anew.
func (x *Mixer) Merge(p *gpu.Pass, b *Block) {
	for _, l := range b.linears {
		if l.LoRA != nil {
			w := x.Linear(p, 0, l)
			x.Store(p, l.Param, w, w, 1, 0)
		}
	}
}

// MergeStochastic is Merge that rounds bf16 weights without masters at random, so that merge after merge
// nothing is lost on average. What is drawn follows from count, the parameter's name and the element's place.
func (x *Mixer) MergeStochastic(p *gpu.Pass, b *Block, count uint32) {
	for _, l := range b.linears {
		switch {
		case l.LoRA == nil:
		case l.Weight.DType != gpu.BF16 || !l.Master.None():
			w := x.Linear(p, 0, l)
			x.Store(p, l.Param, w, w, 1, 0)
		default:
			h := fnv.New32a()
			h.Write([]byte(l.Name))
			update.RoundStochastic(p, l.Weight, x.Linear(p, 0, l), update.Draw{Key: h.Sum32(), Count: count})
		}
	}
}

// Store makes wa a + wb b, f32 tensors of the parameter's shape, its weight. With
// wb = 0, b is not read. A master continues from the rounded weight.
func (x *Mixer) Store(p *gpu.Pass, q *Param, a, b gpu.Tensor, wa, wb float32) {
	if q.Weight.DType == gpu.I8 {
		if wa != 1 || wb != 0 {
			p.Fail(fmt.Errorf("%s is frozen in %s: it can be replaced, not mixed", q.Name, Int8))
		}
		wgsl.Quantize(p, q.Weight, q.Scales, a)
		return
	}
	wgsl.Mix(p, q.Weight, a, b, wa, wb)
	switch {
	case q.Master.None():
	case x.m.Storage.States == PaperStates:
		wgsl.Widen(p, q.Master, q.Weight)
	default: // the weight is all of the master
		wgsl.Zero(p, q.Master)
	}
}

// dense is a parameter's weight as products take it: itself, or an int8 one
// rounded to the storage's precision in room.
func (m *Model) dense(p *gpu.Pass, q *Param, room gpu.Tensor) gpu.Tensor {
	if q.Weight.DType != gpu.I8 {
		return q.Weight
	}
	out := room.As(gpu.Spec{Name: q.Name + ".dense", Class: gpu.Scratch, DType: dtypeOf(m.Storage.Precision),
		Shape: q.Weight.Shape}, 0)
	wgsl.Dequantize(p, out, q.Weight, q.Scales)
	return out
}
