package model

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model/checkpoint"
	"steplm/wgsl"
	"steplm/wgsl/ref"
)

// stored are storages that differ in every field.
func stored() map[string]Storage {
	return map[string]Storage{
		"f32":            FullStorage,
		"f32 released":   {Precision: F32, States: FullStates, Gradients: F32, Release: true, Frozen: F32},
		"paper":          {Precision: BF16, States: PaperStates, Gradients: BF16, Frozen: BF16},
		"split":          {Precision: BF16, States: SplitStates, Gradients: F32, Frozen: BF16},
		"split int8":     {Precision: BF16, States: SplitStates, Gradients: BF16, Frozen: Int8},
		"flash8":         {Precision: BF16, States: Flash8States, Gradients: BF16, Frozen: BF16},
		"flash8 release": {Precision: BF16, States: Flash8States, Gradients: BF16, Release: true, Frozen: Int8},
	}
}

// in is a layout in a storage.
func (l Layout) in(s Storage) Layout {
	l.Storage = s
	l.Blocks = append([]BlockLayout(nil), l.Blocks...)
	for i := range l.Blocks {
		l.Blocks[i].Int8 = l.Blocks[i].Frozen && s.Frozen == Int8
	}
	return l
}

// A layout in every storage holds on the device what its plan says, and under
// release the slab is as large as the largest gradient.
func TestStorageIsThePlan(t *testing.T) {
	for name, s := range stored() {
		for _, tied := range []bool{false, true} {
			l := partly(tied).in(s)
			d := gpu.NewHost()
			m, err := New(d, l)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if off := d.Ledger().Difference(gpu.Plan(l.Specs())); off != "" {
				t.Errorf("%s, tied %t: %s", name, tied, off)
			}
			m.Free()
			if n := d.Ledger().Total(); n != 0 {
				t.Errorf("%s: %d bytes are left", name, n)
			}
		}
	}
}

// Recomputing blocks changes no bit of any gradient, whatever stores them.
func TestRecomputeIsExact(t *testing.T) {
	for name, s := range stored() {
		if s.Release {
			continue // its gradients are gone at the end
		}
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				l := partly(false).in(s)
				m := newStored(t, d, l)
				size := Size{Batch: 2, SeqLen: 7}
				b := someBatch(3, size, l.Vocab)
				kept := newActivations(t, m, size)
				loss := train(t, m, kept, meanScale(b), b)
				want := gradients(t, m)
				size.Recompute = true
				again := newActivations(t, m, size)
				if got := train(t, m, again, meanScale(b), b); got != loss {
					t.Errorf("loss %.9g, want %.9g", got, loss)
				}
				bits(t, "recomputed", gradients(t, m), want)
				if a, b := gpu.Plan(ActivationSpecs(l, size)).Total(),
					gpu.Plan(ActivationSpecs(l, kept.Size)).Total(); a >= b {
					t.Errorf("recomputation takes %d bytes, keeping takes %d", a, b)
				}
			})
		})
	}
}

// newStored is newModel in a storage; int8 blocks are quantized from random
// values.
func newStored(t *testing.T, d gpu.Device, l Layout) *Model {
	t.Helper()
	wide := l
	wide.Blocks = append([]BlockLayout(nil), l.Blocks...)
	for i := range wide.Blocks {
		wide.Blocks[i].Int8 = false
	}
	m := newModel(t, d, wide, 7)
	if err := m.Apply(l); err != nil {
		t.Fatal(err)
	}
	return m
}

// Under release every trainable parameter is complete once, with the gradient, bit
// for bit, that it has without.
func TestReleaseCompletesEachGradientOnce(t *testing.T) {
	for _, tied := range []bool{false, true} {
		for _, s := range []Storage{FullStorage, {BF16, SplitStates, BF16, false, BF16}} {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				size := Size{Batch: 2, SeqLen: 7, HeadRows: 5}
				b := someBatch(3, size, 29)
				m := newStored(t, d, partly(tied).in(s))
				train(t, m, newActivations(t, m, size), meanScale(b), b)
				want := gradients(t, m)

				borrowed := s
				borrowed.Release = true
				released := newStored(t, d, partly(tied).in(borrowed))
				a := newActivations(t, released, size)
				load(t, a, b)
				copies, times := map[string]gpu.Tensor{}, map[string]int{}
				for _, p := range released.Params() {
					if p.Trainable() {
						copies[p.Name] = gputest.Tensor(t, d, p.Name, nil, p.Weight.Shape...)
					}
				}
				pass(t, released, func(p *gpu.Pass) {
					released.Forward(p, a)
					released.Backward(p, a, Gradients{Scale: meanScale(b), Complete: func(p *gpu.Pass, q *Param) {
						times[q.Name]++
						wgsl.Widen(p, copies[q.Name], q.Grad)
						wgsl.Zero(p, q.Grad) // an optimizer is done with it
					}})
				})
				got := map[string][]float32{}
				for name, x := range copies {
					got[name] = gputest.Read(t, d, x)
					if times[name] != 1 {
						t.Errorf("%s was complete %d times", name, times[name])
					}
				}
				bits(t, "released", got, want)
			})
		}
	}
}

// bf16 storage computes what f32 does with the same weights, but for rounding: the
// same loss within 1 % and gradients that point the same way. The weights are small:
// with large ones, attention that nearly is a choice makes much of every rounding,
// of f32's weights too.
func TestBF16GradientsFollowF32(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		size := Size{Batch: 2, SeqLen: 9}
		for seed := range uint64(6) {
			b := someBatch(seed, size, 29)
			both := map[string]map[string][]float32{}
			var losses []float64
			for _, s := range []Storage{FullStorage, {BF16, SplitStates, BF16, false, BF16}} {
				m := newStored(t, d, partly(false).in(s))
				for _, p := range m.Params() {
					values := scrambled(p.Weight.Spec, 7)
					for i := range values {
						if len(p.Weight.Shape) > 1 {
							values[i] /= 3
						}
						values[i] = gpu.FromBF16(gpu.BF16Bits(values[i]))
					}
					write32(t, m, p, values)
				}
				losses = append(losses, train(t, m, newActivations(t, m, size), meanScale(b), b))
				both[s.Precision] = gradients(t, m)
			}
			near(t, "loss", losses[1], losses[0], 0.01)
			for name, g := range both[BF16] {
				var dot, gg, ww float64
				for i, w := range both[F32][name] {
					dot += float64(g[i]) * float64(w)
					gg += float64(g[i]) * float64(g[i])
					ww += float64(w) * float64(w)
				}
				if cosine := dot / math.Sqrt(gg*ww); !(cosine > 0.999) || math.Abs(math.Sqrt(gg/ww)-1) > 0.02 {
					t.Errorf("%s: cosine %.5f with the f32 gradient, norm %.4f of its", name, cosine, math.Sqrt(gg/ww))
				}
			}
		}
	})
}

// A weight with a master is the master's upper half, to nearest, ties away; the
// master is the value that was written, exactly or in flash8 to 24 bits.
func TestMasters(t *testing.T) {
	d := gpu.NewHost()
	values := []float32{1, -1.00390625, 1.001953125 /* a tie */, -1.001953125, 3.4e38, 1e-40, 0, -0.3}
	c := Config{Hidden: 8, FFN: 8, Layers: 1, Heads: 1, KVHeads: 1, Vocab: 8, MaxSeqLen: 8, NormEps: 1e-5,
		RopeTheta: 1e4}
	for _, states := range []string{PaperStates, SplitStates, Flash8States} {
		l := Plain(c, 1)
		l.Storage = Storage{BF16, states, BF16, false, BF16}
		m, err := New(d, l)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.writeRows(m.Norm, 0, values); err != nil {
			t.Fatal(err)
		}
		low := make([]uint32, m.Norm.Master.Words())
		if err := d.Read(m.Norm.Master, 0, low); err != nil {
			t.Fatal(err)
		}
		for i, hi := range gputest.Read(t, d, m.Norm.Weight) {
			var master float32
			bits := uint16(math.Float32bits(hi) >> 16)
			exact := true
			switch states {
			case PaperStates:
				master = math.Float32frombits(low[i])
			case SplitStates:
				master = ref.JoinBits(bits, int16(low[i/2]>>(i%2*16)))
			case Flash8States:
				master, exact = ref.JoinFlash8Bits(bits, int8(low[i/4]>>(i%4*8))), false
			}
			if exact && master != values[i] {
				t.Errorf("%s: the master of %g is %g", states, values[i], master)
			}
			if e := math.Abs(float64(master)-float64(values[i])) / math.Max(math.Abs(float64(values[i])),
				1e-38); e > 1.0/(1<<15) {
				t.Errorf("%s: the master of %g is %g", states, values[i], master)
			}
			if want := (math.Float32bits(values[i]) + 0x8000) >> 16; uint32(bits) != want {
				t.Errorf("%s: %g is kept as %#x, want %#x", states, values[i], bits, want)
			}
		}
		m.Free()
	}
}

// Padding is zero after everything that writes: here FFN 20 is padded to 24, and
// the rank to 8.
func TestPaddingStaysZero(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		for name, s := range stored() {
			if s.Release || s.Frozen == Int8 {
				continue
			}
			m := newStored(t, d, partly(false).in(s))
			size := Size{Batch: 1, SeqLen: 7}
			a := newActivations(t, m, size)
			b := someBatch(5, size, m.Vocab)
			train(t, m, a, meanScale(b), b)
			tensors := append([]gpu.Tensor(nil), a.all...)
			for _, p := range m.Params() {
				tensors = append(tensors, p.Weight)
				if p.Trainable() {
					tensors = append(tensors, p.Grad)
				}
			}
			seen := 0
			for _, x := range tensors {
				seen += checkPadding(t, name, d, x)
			}
			if seen == 0 {
				t.Error("nothing is padded: this shows nothing")
			}
			m.Free()
		}
	})
}

// checkPadding counts the padded elements, which must be zero.
func checkPadding(t *testing.T, what string, d gpu.Device, x gpu.Tensor) (n int) {
	t.Helper()
	if x.DType != gpu.F32 && x.DType != gpu.BF16 {
		return 0
	}
	words := make([]uint32, x.Words())
	if err := d.Read(x, 0, words); err != nil {
		t.Fatal(err)
	}
	for row := range x.Rows() {
		for j := x.Cols(); j < x.Stride(); j++ {
			i := row*x.Stride() + j
			v := uint32(0)
			if x.DType == gpu.F32 {
				v = words[i]
			} else {
				v = words[i/2] >> (i % 2 * 16) & 0xffff
			}
			if v != 0 {
				t.Errorf("%s: %s is %#x in the padding of row %d", what, x.Name, v, row)
				return n
			}
			n++
		}
	}
	return n
}

// What is exported of a model with int8 blocks and adapters is what it computes
// with: the logits of the exported model are those of the trained one, both in
// f32.
func TestExportIsWhatWasTrained(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		for name, s := range map[string]Storage{
			"int8 under f32": {F32, FullStates, F32, false, Int8}, "bf16": {BF16, SplitStates, BF16, false, BF16},
			"int8": {BF16, SplitStates, BF16, false, Int8},
		} {
			l := partly(false).in(s)
			if name == "bf16" { // nothing to merge: it stays bf16
				for i := range l.Blocks {
					l.Blocks[i].Wrapped = false
				}
			}
			m := newStored(t, d, l)
			parent := t.TempDir()
			dir, err := checkpoint.Begin(parent, "final")
			if err != nil {
				t.Fatal(err)
			}
			if err := m.writeHF(dir, nil); err != nil {
				t.Fatal(err)
			}
			if err := dir.Commit(); err != nil {
				t.Fatal(err)
			}
			for hf, p := range m.hfParams() {
				want := gputest.Read(t, d, denseOf(t, m, p))
				if lin := m.linear(p.Name); lin != nil && lin.LoRA != nil {
					addProduct(want, gputest.Read(t, d, lin.LoRA.B.Weight), gputest.Read(t, d, lin.LoRA.A.Weight), lin)
				}
				got := readTensors(t, filepath.Join(parent, "final"))[hf]
				for i := range want {
					if math.Abs(float64(got[i])-float64(want[i])) > 1e-6*math.Max(1, math.Abs(float64(want[i]))) {
						t.Fatalf("%s: %s[%d] is exported as %g, trained against %g", name, hf, i, got[i], want[i])
					}
				}
			}
			f, err := checkpoint.OpenDir(filepath.Join(parent, "final"))
			if err != nil {
				t.Fatal(err)
			}
			if i, _ := f.Info(headTensor.hf); (i.DType == checkpoint.BF16) != (name == "bf16") {
				t.Errorf("%s: exported as %s", name, i.DType)
			}
			f.Close()
			m.Free()
		}
	})
}

// denseOf is a parameter's weight as products take it.
func denseOf(t *testing.T, m *Model, p *Param) gpu.Tensor {
	t.Helper()
	if p.Weight.DType != gpu.I8 {
		return p.Weight
	}
	room := gputest.TensorOf(t, m.dev, dtypeOf(m.Storage.Precision), "dense", nil, p.Weight.Shape...)
	pass(t, m, func(pass *gpu.Pass) { m.dense(pass, p, room) })
	return room
}

// addProduct is w += scale B A.
func addProduct(w, b, a []float32, l *Linear) {
	for o := range l.Out {
		for i := range l.In {
			sum := 0.0
			for r := range l.LoRA.Rank {
				sum += float64(b[o*l.LoRA.Rank+r]) * float64(a[r*l.In+i])
			}
			w[o*l.In+i] += float32(float64(l.LoRA.Scale) * sum)
		}
	}
}

func TestStorageRefuses(t *testing.T) {
	good := Storage{BF16, SplitStates, BF16, false, BF16}
	for name, c := range map[string]struct {
		spoil func(*Storage)
		want  []string
	}{
		"precision": {func(s *Storage) { s.Precision = "f16" }, []string{`"f16"`, "bf16"}},
		"states": {func(s *Storage) { s.States = "none" },
			[]string{`"none"`, "paper, split, stochastic, flash8"}},
		"f32 states with bf16": {func(s *Storage) { s.States = FullStates },
			[]string{`"f32"`, "bf16", "paper, split, stochastic, flash8"}},
		"flash8 with f32": {func(s *Storage) { *s = FullStorage; s.States = Flash8States },
			[]string{"flash8", "f32"}},
		"gradients": {func(s *Storage) { s.Gradients = "f16" }, []string{`"f16"`}},
		"bf16 gradients of f32 weights": {func(s *Storage) { *s = FullStorage; s.Gradients = BF16 },
			[]string{"bf16", "f32"}},
		"frozen":                         {func(s *Storage) { s.Frozen = "int4" }, []string{`"int4"`, "int8"}},
		"frozen f32 with precision bf16": {func(s *Storage) { s.Frozen = F32 }, []string{`"f32"`, "bf16"}},
	} {
		s := good
		c.spoil(&s)
		err := s.Validate()
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
	l := Plain(unlike(false), 2)
	l.Blocks[0].Int8 = true
	if err := l.Validate(); err == nil || !strings.Contains(fmt.Sprint(err), "int8") {
		t.Errorf("a trainable int8 block: %v", err)
	}
}

// Gradients added up in bf16 lose a little with every micro-batch: the error of
// the sum of 64, against a sum in f32, is 0.7 % and must stay below 1.5.
func TestAccumulatingInBF16(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		size := Size{Batch: 1, SeqLen: 9}
		const micro = 64
		var batches []Batch
		for i := range micro {
			batches = append(batches, someBatch(uint64(i), size, 29))
		}
		sums := map[string]map[string][]float32{}
		for _, gradients32 := range []string{F32, BF16} {
			m := newStored(t, d, partly(false).in(Storage{BF16, SplitStates, gradients32, false, BF16}))
			train(t, m, newActivations(t, m, size), 1.0/micro, batches...)
			sums[gradients32] = gradients(t, m)
		}
		var off, all float64
		for name, want := range sums[F32] {
			for i, w := range want {
				off += math.Pow(float64(sums[BF16][name][i])-float64(w), 2)
				all += float64(w) * float64(w)
			}
		}
		share := math.Sqrt(off / all)
		t.Logf("%.2f %% off over %d micro-batches", 100*share, micro)
		if !(share < 0.015) || share == 0 {
			t.Errorf("%.2f %% off", 100*share)
		}
	})
}

// So does the head's gradient with every chunk of rows.
func TestHeadInChunksInBF16(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		size := Size{Batch: 8, SeqLen: 8}
		b := someBatch(1, size, 29)
		heads := map[int][]float32{}
		for _, rows := range []int{1, size.Rows()} {
			size.HeadRows = rows
			m := newStored(t, d, partly(false).in(Storage{BF16, SplitStates, BF16, false, BF16}))
			train(t, m, newActivations(t, m, size), 1.0/64, b)
			heads[rows] = gradients(t, m)["head"]
		}
		var off, all float64
		for i, w := range heads[size.Rows()] {
			off += math.Pow(float64(heads[1][i])-float64(w), 2)
			all += float64(w) * float64(w)
		}
		share := math.Sqrt(off / all)
		t.Logf("%.2f %% off in 64 chunks", 100*share)
		if !(share < 0.015) || share == 0 {
			t.Errorf("%.2f %% off", 100*share)
		}
	})
}
