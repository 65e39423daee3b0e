package modeltest

import (
	"fmt"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
)

// Central differences of an independent float64 model at 25 coordinates of
// every parameter.
func TestFiniteDifferences(t *testing.T) {
	for _, tied := range []bool{false, true} {
		testFiniteDifferences(t, fmt.Sprintf("tied=%t", tied), Partly(tied))
	}
}

func testFiniteDifferences(t *testing.T, name string, l model.Layout) {
	const coordinates, h = 25, 1e-4
	s := model.Size{Batch: 2, SeqLen: 7}
	b := SomeBatch(1, s, l.Vocab)
	scale := MeanScale(b)
	m := llama64{Layout: l, params: map[string][]float64{}}
	for _, p := range l.Params() {
		for _, v := range Scrambled(p.Weight, 7) {
			m.params[p.Weight.Name] = append(m.params[p.Weight.Name], float64(v))
		}
	}
	g := Random(2)
	type slope struct {
		at    int
		value float64
	}
	slopes := map[string][]slope{}
	for _, p := range l.Params() {
		if p.Grad.Name == "" {
			continue
		}
		values := m.params[p.Weight.Name]
		for range coordinates {
			at := g.IntN(len(values))
			kept := values[at]
			values[at] = kept + h
			up := m.loss(b, s, float64(scale))
			values[at] = kept - h
			down := m.loss(b, s, float64(scale))
			values[at] = kept
			slopes[p.Weight.Name] = append(slopes[p.Weight.Name], slope{at, (up - down) / (2 * h)})
		}
	}
	t.Run(name, func(t *testing.T) {
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			device := New(t, d, l, 7)
			a := NewActivations(t, device, s)
			Near(t, "loss", Train(t, device, a, scale, b), m.loss(b, s, float64(scale)), lossTolerance)
			var c Comparison
			for name, grad := range Gradients(t, device) {
				var got, want []float32
				for _, s := range slopes[name] {
					got, want = append(got, grad[s.at]), append(want, float32(s.value))
				}
				c.Check(t, name, got, want, 5e-5)
			}
			c.Report(t)
		})
	})
}

// The whole batch's gradient is the sum of its parts'.
func TestGradientAccumulation(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m := New(t, d, Partly(false), 3)
		s := model.Size{Batch: 4, SeqLen: 6}
		b := SomeBatch(4, s, m.Vocab)
		wantLoss := Train(t, m, NewActivations(t, m, s), MeanScale(b), b)
		want := Gradients(t, m)

		half := s.Rows() / 2
		parts := []Batch{NewBatch(b.Inputs[:half], b.Targets[:half]), NewBatch(b.Inputs[half:], b.Targets[half:])}
		loss := Train(t, m, NewActivations(t, m, model.Size{Batch: 2, SeqLen: s.SeqLen}), MeanScale(b), parts...)
		Near(t, "loss", loss, wantLoss, lossTolerance)
		var c Comparison
		for name, g := range Gradients(t, m) {
			c.Check(t, name, g, want[name], 5e-6)
		}
		c.Report(t)
	})
}

// However many rows of logits exist at once, losses and gradients have the same
// bits: sums over rows go on where the last chunk stopped.
func TestHeadChunks(t *testing.T) {
	for _, tied := range []bool{false, true} {
		t.Run(fmt.Sprintf("tied=%t", tied), func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				m := New(t, d, Partly(tied), 5)
				s := model.Size{Batch: 3, SeqLen: 9}
				a := NewActivations(t, m, s)
				b := SomeBatch(6, s, m.Vocab)
				if a.HeadRows != s.Rows() {
					t.Fatalf("%d rows at once of %d", a.HeadRows, s.Rows())
				}
				wantLoss := Train(t, m, a, MeanScale(b), b)
				want, wantLogits := Gradients(t, m), Logits(t, m, a, b)
				for _, a.HeadRows = range []int{26, 10, 9, 1} {
					what := fmt.Sprintf("%d rows at once", a.HeadRows)
					if loss := Train(t, m, a, MeanScale(b), b); loss != wantLoss {
						t.Errorf("%s: loss %.9g, want %.9g", what, loss, wantLoss)
					}
					Bits(t, what, Gradients(t, m), want)
					Bits(t, what, map[string][]float32{"logits": Logits(t, m, a, b)},
						map[string][]float32{"logits": wantLogits})
					Near(t, what+": loss without gradients", MeanLoss(t, m, a, b), wantLoss, lossTolerance)
				}
			})
		})
	}
}

func TestHeadChunk(t *testing.T) {
	for _, c := range []struct{ vocab, rows, want int }{
		{29, 27, 27}, {5000, 838, 838}, {5000, 1000, 832}, {160000, 100, 26}, {32000, 4096, 128}, {4 << 20, 9, 1},
		{5 << 20, 9, 1},
	} {
		if got := model.DefaultHeadRows(model.Config{Vocab: c.vocab},
			model.Size{Batch: 1, SeqLen: c.rows}); got != c.want {
			t.Errorf("vocabulary %d, %d rows: %d at once, want %d", c.vocab, c.rows, got, c.want)
		}
	}
}

// A vocabulary whose logits exceed the budget on their own, in real chunks.
func TestLargeVocabulary(t *testing.T) {
	c := model.Config{Hidden: 4, FFN: 6, Layers: 1, Heads: 2, KVHeads: 1, Vocab: 60000, MaxSeqLen: 75, NormEps: 1e-5,
		RopeTheta: 10000}
	s := model.Size{Batch: 1, SeqLen: 75}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m := New(t, d, model.Plain(c, 1), 8)
		a := NewActivations(t, m, s)
		if a.HeadRows >= s.Rows() {
			t.Fatalf("%d rows of %d at once: nothing is cut", a.HeadRows, s.Rows())
		}
		b := SomeBatch(9, s, c.Vocab)
		reference := llama64{Layout: m.Layout, params: map[string][]float64{}}
		for name, values := range Weights(t, m) {
			for _, v := range values {
				reference.params[name] = append(reference.params[name], float64(v))
			}
		}
		Near(t, "loss", Train(t, m, a, MeanScale(b), b), reference.loss(b, s, float64(MeanScale(b))), lossTolerance)
	})
}

// The same batch gives the same bits, on every device.
func TestRepeatable(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m := New(t, d, Partly(true), 10)
		s := model.Size{Batch: 3, SeqLen: 9}
		a := NewActivations(t, m, s)
		b := SomeBatch(11, s, m.Vocab)
		wantLoss := Train(t, m, a, MeanScale(b), b)
		want := Gradients(t, m)
		Train(t, m, a, 1, SomeBatch(12, s, m.Vocab)) // whatever was there before
		if loss := Train(t, m, a, MeanScale(b), b); loss != wantLoss {
			t.Errorf("loss %.9g, then %.9g", wantLoss, loss)
		}
		Bits(t, "again", Gradients(t, m), want)
	})
}

// Sizes beyond one tile and one workgroup of every kernel: the adapter's
// gradients are the host's. Random weights of this width amplify float32's
// rounding, by 20 times against a deviation of 0.05, hence the tolerance.
func TestAdapterAgainstHost(t *testing.T) {
	c := model.Config{Hidden: 80, FFN: 136, Layers: 2, Heads: 4, KVHeads: 2, Vocab: 301, MaxSeqLen: 128, NormEps: 1e-5,
		RopeTheta: 10000}
	l := model.Plain(c, 2)
	l.Blocks[0].Frozen, l.Blocks[0].Wrapped = true, true
	l.LoRA = model.LoRALayout{Rank: 17, Alpha: 17, Targets: model.LinearNames()}
	s := model.Size{Batch: 2, SeqLen: 101}
	b := SomeBatch(15, s, c.Vocab)
	step := func(d gpu.Device) (float64, map[string][]float32) {
		m := New(t, d, l, 16)
		return Train(t, m, NewActivations(t, m, s), MeanScale(b), b), Gradients(t, m)
	}
	wantLoss, want := step(gpu.NewHost())
	loss, got := step(gputest.Adapter(t))
	Near(t, "loss", loss, wantLoss, lossTolerance)
	var worst Comparison
	for name := range want {
		worst.Check(t, name, got[name], want[name], 1e-4)
	}
	worst.Report(t)
}

// What is frozen decides which gradients are computed, and changes not one bit
// of the others.
func TestFreezing(t *testing.T) {
	all := model.Plain(Unlike(false), 3)
	all.Blocks[2].Wrapped = true
	all.LoRA = model.LoRALayout{Rank: 2, Alpha: 3, Targets: []string{"wk", "wo", "up"}}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		s := model.Size{Batch: 2, SeqLen: 8}
		b := SomeBatch(14, s, all.Vocab)
		m := New(t, d, all, 13)
		wantLoss := Train(t, m, NewActivations(t, m, s), 1, b)
		want := Gradients(t, m)
		for _, c := range []struct {
			name      string
			embedding bool
			head      bool
			norms     bool
			frozen    int // so many blocks from below
			gradients int
		}{
			{"embedding", false, true, true, 0, len(want) - 1},
			{"head", true, false, true, 0, len(want) - 1},
			{"linears of block 0", true, true, true, 1, len(want) - 7},
			{"block 0", true, true, false, 1, len(want) - 10}, // the last norm too
			{"all below block 1", false, true, false, 1, len(want) - 11},
			{"all but block 2 and the head", false, true, false, 2, 1 + 9 + 6},
			{"all but block 2's adapters", false, false, false, 3, 6},
		} {
			t.Run(c.name, func(t *testing.T) {
				l := all
				l.TrainEmbedding, l.TrainHead, l.TrainNorms = c.embedding, c.head, c.norms
				l.Blocks = slices.Clone(all.Blocks)
				for i := range c.frozen {
					l.Blocks[i].Frozen = true
				}
				m := New(t, d, l, 13)
				if loss := Train(t, m, NewActivations(t, m, s), 1, b); loss != wantLoss {
					t.Errorf("loss %.9g, want %.9g", loss, wantLoss)
				}
				got := Gradients(t, m)
				if len(got) != c.gradients {
					t.Errorf("%d gradients, want %d", len(got), c.gradients)
				}
				common := map[string][]float32{}
				for name := range got {
					common[name] = want[name]
				}
				Bits(t, c.name, got, common)
			})
		}
	})
}
