package model_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/model/modeltest"
	"steplm/wgsl"
	"steplm/wgsl/update/ref"
)

// stored are storages that differ in every field.
func stored() map[string]model.Storage {
	return map[string]model.Storage{
		"f32": model.FullStorage,
		"f32 released": {Precision: model.F32, States: model.FullStates, Gradients: model.F32, Release: true,
			Frozen: model.F32},
		"paper":      {Precision: model.BF16, States: model.PaperStates, Gradients: model.BF16, Frozen: model.BF16},
		"split":      {Precision: model.BF16, States: model.SplitStates, Gradients: model.F32, Frozen: model.BF16},
		"split int8": {Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Frozen: model.Int8},
		"flash8": {Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16,
			Frozen: model.BF16},
		"flash8 release": {Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16, Release: true,
			Frozen: model.Int8},
	}
}

// A layout in every storage holds on the device what its plan says, and under
// release the slab is as large as the largest gradient.
func TestStorageIsThePlan(t *testing.T) {
	for name, s := range stored() {
		for _, tied := range []bool{false, true} {
			l := modeltest.WithStorage(modeltest.Partly(tied), s)
			d := gpu.NewHost()
			m, err := model.New(d, l)
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
				l := modeltest.WithStorage(modeltest.Partly(false), s)
				m := modeltest.NewStored(t, d, l)
				size := model.Size{Batch: 2, SeqLen: 7}
				b := modeltest.SomeBatch(3, size, l.Vocab)
				kept := modeltest.NewActivations(t, m, size)
				loss := modeltest.Train(t, m, kept, modeltest.MeanScale(b), b)
				want := modeltest.Gradients(t, m)
				size.Recompute = true
				again := modeltest.NewActivations(t, m, size)
				if got := modeltest.Train(t, m, again, modeltest.MeanScale(b), b); got != loss {
					t.Errorf("loss %.9g, want %.9g", got, loss)
				}
				modeltest.Bits(t, "recomputed", modeltest.Gradients(t, m), want)
				if a, b := gpu.Plan(model.ActivationSpecs(l, size)).Total(),
					gpu.Plan(model.ActivationSpecs(l, kept.Size)).Total(); a >= b {
					t.Errorf("recomputation takes %d bytes, keeping takes %d", a, b)
				}
			})
		})
	}
}

// Under release every trainable parameter is complete once, with the gradient, bit
// for bit, that it has without.
func TestReleaseCompletesEachGradientOnce(t *testing.T) {
	for _, tied := range []bool{false, true} {
		for _, s := range []model.Storage{model.FullStorage,
			{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Frozen: model.BF16}} {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				size := model.Size{Batch: 2, SeqLen: 7, HeadRows: 5}
				b := modeltest.SomeBatch(3, size, 29)
				m := modeltest.NewStored(t, d, modeltest.WithStorage(modeltest.Partly(tied), s))
				modeltest.Train(t, m, modeltest.NewActivations(t, m, size), modeltest.MeanScale(b), b)
				want := modeltest.Gradients(t, m)

				borrowed := s
				borrowed.Release = true
				released := modeltest.NewStored(t, d, modeltest.WithStorage(modeltest.Partly(tied), borrowed))
				a := modeltest.NewActivations(t, released, size)
				modeltest.LoadBatch(t, a, b)
				copies, times := map[string]gpu.Tensor{}, map[string]int{}
				for _, p := range released.Params() {
					if p.Trainable() {
						copies[p.Name] = gputest.Tensor(t, d, p.Name, nil, p.Weight.Shape...)
					}
				}
				modeltest.Pass(t, released, func(p *gpu.Pass) {
					released.Forward(p, a)
					released.Backward(p, a, model.Gradients{Scale: modeltest.MeanScale(b),
						Complete: func(p *gpu.Pass, q *model.Param) {
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
				modeltest.Bits(t, "released", got, want)
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
		size := model.Size{Batch: 2, SeqLen: 9}
		for seed := range uint64(6) {
			b := modeltest.SomeBatch(seed, size, 29)
			both := map[string]map[string][]float32{}
			var losses []float64
			for _, s := range []model.Storage{model.FullStorage,
				{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Frozen: model.BF16}} {
				m := modeltest.NewStored(t, d, modeltest.WithStorage(modeltest.Partly(false), s))
				for _, p := range m.Params() {
					values := modeltest.Scrambled(p.Weight.Spec, 7)
					for i := range values {
						if len(p.Weight.Shape) > 1 {
							values[i] /= 3
						}
						values[i] = gpu.FromBF16(gpu.BF16Bits(values[i]))
					}
					modeltest.Write32(t, m, p, values)
				}
				losses = append(losses, modeltest.Train(t, m, modeltest.NewActivations(t, m, size),
					modeltest.MeanScale(b), b))
				both[s.Precision] = modeltest.Gradients(t, m)
			}
			modeltest.Near(t, "loss", losses[1], losses[0], 0.01)
			for name, g := range both[model.BF16] {
				var dot, gg, ww float64
				for i, w := range both[model.F32][name] {
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
	c := model.Config{Hidden: 8, FFN: 8, Layers: 1, Heads: 1, KVHeads: 1, Vocab: 8, MaxSeqLen: 8, NormEps: 1e-5,
		RopeTheta: 1e4}
	for _, states := range []string{model.PaperStates, model.SplitStates, model.Flash8States} {
		l := model.Plain(c, 1)
		l.Storage = model.Storage{model.BF16, states, model.BF16, false, model.BF16}
		m, err := model.New(d, l)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.WriteRows(m.Norm, 0, values); err != nil {
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
			case model.PaperStates:
				master = math.Float32frombits(low[i])
			case model.SplitStates:
				master = ref.JoinBits(bits, int16(low[i/2]>>(i%2*16)))
			case model.Flash8States:
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
			if s.Release || s.Frozen == model.Int8 {
				continue
			}
			m := modeltest.NewStored(t, d, modeltest.WithStorage(modeltest.Partly(false), s))
			size := model.Size{Batch: 1, SeqLen: 7}
			a := modeltest.NewActivations(t, m, size)
			b := modeltest.SomeBatch(5, size, m.Vocab)
			modeltest.Train(t, m, a, modeltest.MeanScale(b), b)
			tensors := append([]gpu.Tensor(nil), a.All()...)
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
		for name, s := range map[string]model.Storage{
			"int8 under f32": {Precision: model.F32, States: model.FullStates, Gradients: model.F32,
				Frozen: model.Int8}, "bf16": {Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
				Frozen: model.BF16},
			"int8": {Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Frozen: model.Int8},
		} {
			l := modeltest.WithStorage(modeltest.Partly(false), s)
			if name == "bf16" { // nothing to merge: it stays bf16
				for i := range l.Blocks {
					l.Blocks[i].Wrapped = false
				}
			}
			m := modeltest.NewStored(t, d, l)
			parent := t.TempDir()
			dir, err := checkpoint.Begin(parent, "final")
			if err != nil {
				t.Fatal(err)
			}
			if err := modeltest.WriteHF(dir, m, nil); err != nil {
				t.Fatal(err)
			}
			if err := dir.Commit(); err != nil {
				t.Fatal(err)
			}
			for hf, p := range m.HFParams() {
				want := gputest.Read(t, d, denseOf(t, m, p))
				if lin := m.Linear(p.Name); lin != nil && lin.LoRA != nil {
					addProduct(want, gputest.Read(t, d, lin.LoRA.B.Weight), gputest.Read(t, d, lin.LoRA.A.Weight), lin)
				}
				got := modeltest.ReadTensors(t, filepath.Join(parent, "final"))[hf]
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
			if i, _ := f.Info(model.HFHead); (i.DType == checkpoint.BF16) != (name == "bf16") {
				t.Errorf("%s: exported as %s", name, i.DType)
			}
			f.Close()
			m.Free()
		}
	})
}

// denseOf is a parameter's weight as products take it.
func denseOf(t *testing.T, m *model.Model, p *model.Param) gpu.Tensor {
	t.Helper()
	if p.Weight.DType != gpu.I8 {
		return p.Weight
	}
	room := gputest.TensorOf(t, m.Device(), model.DTypeOf(m.Storage.Precision), "dense", nil, p.Weight.Shape...)
	modeltest.Pass(t, m, func(pass *gpu.Pass) { m.Dense(pass, p, room) })
	return room
}

// addProduct is w += scale B A.
func addProduct(w, b, a []float32, l *model.Linear) {
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
	good := model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Frozen: model.BF16}
	for name, c := range map[string]struct {
		spoil func(*model.Storage)
		want  []string
	}{
		"precision": {func(s *model.Storage) { s.Precision = "f16" }, []string{`"f16"`, "bf16"}},
		"states": {func(s *model.Storage) { s.States = "none" },
			[]string{`"none"`, "paper, split, stochastic, flash8"}},
		"f32 states with bf16": {func(s *model.Storage) { s.States = model.FullStates },
			[]string{`"f32"`, "bf16", "paper, split, stochastic, flash8"}},
		"flash8 with f32": {func(s *model.Storage) { *s = model.FullStorage; s.States = model.Flash8States },
			[]string{"flash8", "f32"}},
		"gradients": {func(s *model.Storage) { s.Gradients = "f16" }, []string{`"f16"`}},
		"bf16 gradients of f32 weights": {func(s *model.Storage) { *s = model.FullStorage; s.Gradients = model.BF16 },
			[]string{"bf16", "f32"}},
		"frozen":                         {func(s *model.Storage) { s.Frozen = "int4" }, []string{`"int4"`, "int8"}},
		"frozen f32 with precision bf16": {func(s *model.Storage) { s.Frozen = model.F32 }, []string{`"f32"`, "bf16"}},
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
	l := model.Plain(modeltest.Unlike(false), 2)
	l.Blocks[0].Int8 = true
	if err := l.Validate(); err == nil || !strings.Contains(fmt.Sprint(err), "int8") {
		t.Errorf("a trainable int8 block: %v", err)
	}
}

// Gradients added up in bf16 lose a little with every micro-batch: the error of
// the sum of 64, against a sum in f32, is 0.7 % and must stay below 1.5.
func TestAccumulatingInBF16(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		size := model.Size{Batch: 1, SeqLen: 9}
		const micro = 64
		var batches []modeltest.Batch
		for i := range micro {
			batches = append(batches, modeltest.SomeBatch(uint64(i), size, 29))
		}
		sums := map[string]map[string][]float32{}
		for _, gradients32 := range []string{model.F32, model.BF16} {
			m := modeltest.NewStored(t, d, modeltest.WithStorage(modeltest.Partly(false),
				model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: gradients32,
					Frozen: model.BF16}))
			modeltest.Train(t, m, modeltest.NewActivations(t, m, size), 1.0/micro, batches...)
			sums[gradients32] = modeltest.Gradients(t, m)
		}
		var off, all float64
		for name, want := range sums[model.F32] {
			for i, w := range want {
				off += math.Pow(float64(sums[model.BF16][name][i])-float64(w), 2)
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
		size := model.Size{Batch: 8, SeqLen: 8}
		b := modeltest.SomeBatch(1, size, 29)
		heads := map[int][]float32{}
		for _, rows := range []int{1, size.Rows()} {
			size.HeadRows = rows
			m := modeltest.NewStored(t, d, modeltest.WithStorage(modeltest.Partly(false),
				model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
					Frozen: model.BF16}))
			modeltest.Train(t, m, modeltest.NewActivations(t, m, size), 1.0/64, b)
			heads[rows] = modeltest.Gradients(t, m)["head"]
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
