package model

import (
	"fmt"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
)

// unlike has grouped-query attention, no dimension twice, and an eps and theta
// that show when they are wrong.
func unlike(tied bool) Config {
	return Config{Hidden: 24, FFN: 20, Layers: 3, Heads: 6, KVHeads: 2, Vocab: 29, MaxSeqLen: 9, NormEps: 1e-2,
		RopeTheta: 50, Tied: tied}
}

// partly has a frozen block under LoRA, a trainable one under it, and a plain
// one.
func partly(tied bool) Layout {
	l := Plain(unlike(tied), 3)
	l.Blocks[0] = BlockLayout{ID: 4, Frozen: true, Wrapped: true}
	l.Blocks[2].Wrapped = true
	l.LoRA = LoRALayout{Rank: 2, Alpha: 3, Targets: LinearNames()}
	return l
}

// Central differences of an independent float64 model at 25 coordinates of
// every parameter.
func TestFiniteDifferences(t *testing.T) {
	for _, tied := range []bool{false, true} {
		testFiniteDifferences(t, fmt.Sprintf("tied=%t", tied), partly(tied))
	}
}

func testFiniteDifferences(t *testing.T, name string, l Layout) {
	const coordinates, h = 25, 1e-4
	s := Size{Batch: 2, SeqLen: 7}
	b := someBatch(1, s, l.Vocab)
	scale := meanScale(b)
	m := llama64{Layout: l, params: map[string][]float64{}}
	for _, p := range l.Params() {
		for _, v := range scrambled(p.Weight, 7) {
			m.params[p.Weight.Name] = append(m.params[p.Weight.Name], float64(v))
		}
	}
	g := random(2)
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
			device := newModel(t, d, l, 7)
			a := newActivations(t, device, s)
			near(t, "loss", train(t, device, a, scale, b), m.loss(b, s, float64(scale)), lossTolerance)
			var c comparison
			for name, grad := range gradients(t, device) {
				var got, want []float32
				for _, s := range slopes[name] {
					got, want = append(got, grad[s.at]), append(want, float32(s.value))
				}
				c.check(t, name, got, want, 5e-5)
			}
			c.report(t)
		})
	})
}

// The whole batch's gradient is the sum of its parts'.
func TestGradientAccumulation(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m := newModel(t, d, partly(false), 3)
		s := Size{Batch: 4, SeqLen: 6}
		b := someBatch(4, s, m.Vocab)
		wantLoss := train(t, m, newActivations(t, m, s), meanScale(b), b)
		want := gradients(t, m)

		half := s.Rows() / 2
		parts := []Batch{newBatch(b.Inputs[:half], b.Targets[:half]), newBatch(b.Inputs[half:], b.Targets[half:])}
		loss := train(t, m, newActivations(t, m, Size{Batch: 2, SeqLen: s.SeqLen}), meanScale(b), parts...)
		near(t, "loss", loss, wantLoss, lossTolerance)
		var c comparison
		for name, g := range gradients(t, m) {
			c.check(t, name, g, want[name], 5e-6)
		}
		c.report(t)
	})
}

// However many rows of logits exist at once, losses and gradients have the same
// bits: sums over rows go on where the last chunk stopped.
func TestHeadChunks(t *testing.T) {
	for _, tied := range []bool{false, true} {
		t.Run(fmt.Sprintf("tied=%t", tied), func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				m := newModel(t, d, partly(tied), 5)
				s := Size{Batch: 3, SeqLen: 9}
				a := newActivations(t, m, s)
				b := someBatch(6, s, m.Vocab)
				if a.HeadRows != s.Rows() {
					t.Fatalf("%d rows at once of %d", a.HeadRows, s.Rows())
				}
				wantLoss := train(t, m, a, meanScale(b), b)
				want, wantLogits := gradients(t, m), logits(t, m, a, b)
				for _, a.HeadRows = range []int{26, 10, 9, 1} {
					what := fmt.Sprintf("%d rows at once", a.HeadRows)
					if loss := train(t, m, a, meanScale(b), b); loss != wantLoss {
						t.Errorf("%s: loss %.9g, want %.9g", what, loss, wantLoss)
					}
					bits(t, what, gradients(t, m), want)
					bits(t, what, map[string][]float32{"logits": logits(t, m, a, b)},
						map[string][]float32{"logits": wantLogits})
					near(t, what+": loss without gradients", meanLoss(t, m, a, b), wantLoss, lossTolerance)
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
		if got := DefaultHeadRows(Config{Vocab: c.vocab}, Size{Batch: 1, SeqLen: c.rows}); got != c.want {
			t.Errorf("vocabulary %d, %d rows: %d at once, want %d", c.vocab, c.rows, got, c.want)
		}
	}
}

// A vocabulary whose logits exceed the budget on their own, in real chunks.
func TestLargeVocabulary(t *testing.T) {
	c := Config{Hidden: 4, FFN: 6, Layers: 1, Heads: 2, KVHeads: 1, Vocab: 60000, MaxSeqLen: 75, NormEps: 1e-5,
		RopeTheta: 10000}
	s := Size{Batch: 1, SeqLen: 75}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m := newModel(t, d, Plain(c, 1), 8)
		a := newActivations(t, m, s)
		if a.HeadRows >= s.Rows() {
			t.Fatalf("%d rows of %d at once: nothing is cut", a.HeadRows, s.Rows())
		}
		b := someBatch(9, s, c.Vocab)
		reference := llama64{Layout: m.Layout, params: map[string][]float64{}}
		for name, values := range weights(t, m) {
			for _, v := range values {
				reference.params[name] = append(reference.params[name], float64(v))
			}
		}
		near(t, "loss", train(t, m, a, meanScale(b), b), reference.loss(b, s, float64(meanScale(b))), lossTolerance)
	})
}

// The same batch gives the same bits, on every device.
func TestRepeatable(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m := newModel(t, d, partly(true), 10)
		s := Size{Batch: 3, SeqLen: 9}
		a := newActivations(t, m, s)
		b := someBatch(11, s, m.Vocab)
		wantLoss := train(t, m, a, meanScale(b), b)
		want := gradients(t, m)
		train(t, m, a, 1, someBatch(12, s, m.Vocab)) // whatever was there before
		if loss := train(t, m, a, meanScale(b), b); loss != wantLoss {
			t.Errorf("loss %.9g, then %.9g", wantLoss, loss)
		}
		bits(t, "again", gradients(t, m), want)
	})
}

// Sizes beyond one tile and one workgroup of every kernel: the adapter's
// gradients are the host's. Random weights of this width amplify float32's
// rounding, by 20 times against a deviation of 0.05, hence the tolerance.
func TestAdapterAgainstHost(t *testing.T) {
	c := Config{Hidden: 80, FFN: 136, Layers: 2, Heads: 4, KVHeads: 2, Vocab: 301, MaxSeqLen: 128, NormEps: 1e-5,
		RopeTheta: 10000}
	l := Plain(c, 2)
	l.Blocks[0].Frozen, l.Blocks[0].Wrapped = true, true
	l.LoRA = LoRALayout{Rank: 17, Alpha: 17, Targets: LinearNames()}
	s := Size{Batch: 2, SeqLen: 101}
	b := someBatch(15, s, c.Vocab)
	step := func(d gpu.Device) (float64, map[string][]float32) {
		m := newModel(t, d, l, 16)
		return train(t, m, newActivations(t, m, s), meanScale(b), b), gradients(t, m)
	}
	wantLoss, want := step(gpu.NewHost())
	loss, got := step(gputest.Adapter(t))
	near(t, "loss", loss, wantLoss, lossTolerance)
	var worst comparison
	for name := range want {
		worst.check(t, name, got[name], want[name], 1e-4)
	}
	worst.report(t)
}

// What is frozen decides which gradients are computed, and changes not one bit
// of the others.
func TestFreezing(t *testing.T) {
	all := Plain(unlike(false), 3)
	all.Blocks[2].Wrapped = true
	all.LoRA = LoRALayout{Rank: 2, Alpha: 3, Targets: []string{"wk", "wo", "up"}}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		s := Size{Batch: 2, SeqLen: 8}
		b := someBatch(14, s, all.Vocab)
		m := newModel(t, d, all, 13)
		wantLoss := train(t, m, newActivations(t, m, s), 1, b)
		want := gradients(t, m)
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
				m := newModel(t, d, l, 13)
				if loss := train(t, m, newActivations(t, m, s), 1, b); loss != wantLoss {
					t.Errorf("loss %.9g, want %.9g", loss, wantLoss)
				}
				got := gradients(t, m)
				if len(got) != c.gradients {
					t.Errorf("%d gradients, want %d", len(got), c.gradients)
				}
				common := map[string][]float32{}
				for name := range got {
					common[name] = want[name]
				}
				bits(t, c.name, got, common)
			})
		}
	})
}
