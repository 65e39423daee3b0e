package modeltest

import (
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
)

// Short windows in the room of long ones have the losses and gradients, to the bit, of activations that were made for
// them: with LoRA, recomputation, masks, sliding windows and gradients in slices. What comes after in long windows is
// as ever.
func TestShortWindows(t *testing.T) {
	const long, short = 96, 33
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		for _, name := range gputest.Sample([]string{"one trains", "wrapped"}) {
			for _, s := range []model.Size{{Batch: 2, SeqLen: long}, {Batch: 2, SeqLen: long, Recompute: true,
				Documents: model.Documents{Mask: model.MaskDocuments, Positions: model.PositionsRestart}}} {
				for _, window := range []int{0, 40} {
					shortWindows(t, d, shortLayout(name == "wrapped", window), s, short)
				}
			}
		}
	})
}

// shortLayout is two layers, the lower one frozen under LoRA or not.
func shortLayout(lora bool, window int) model.Layout {
	c := model.Config{Hidden: 32, FFN: 48, Layers: 2, Heads: 4, KVHeads: 2, Vocab: 61, MaxSeqLen: 128, NormEps: 1e-5,
		RopeTheta: 10000, Window: window}
	l := model.Plain(c, c.Layers)
	if lora {
		l.LoRA = model.LoRALayout{Rank: 4, Alpha: 8, Targets: model.LinearNames()}
		l.Blocks[0].Frozen, l.Blocks[0].Wrapped = true, true
	}
	return l
}

func shortWindows(t *testing.T, d gpu.Device, l model.Layout, s model.Size, short int) {
	t.Helper()
	m, err := model.New(d, l)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	if err := m.Init(3, nil); err != nil {
		t.Fatal(err)
	}
	small := s
	small.SeqLen = short
	batch, whole := SomeBatch(5, small, l.Vocab), SomeBatch(6, s, l.Vocab)
	if s.Mask != "" {
		batch.Begins, whole.Begins = halves(small), halves(s)
	}
	run := func(a *model.Activations, b Batch) (float64, map[string][]float32) {
		loss := Train(t, m, a, MeanScale(b), b)
		return loss, Gradients(t, m)
	}
	alone, err := model.NewActivations(d, l, small)
	if err != nil {
		t.Fatal(err)
	}
	wantLoss, want := run(alone, batch)
	alone.Free()
	a, err := model.NewActivations(d, l, s)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Free()
	beforeLoss, before := run(a, whole)
	view, err := a.Windows(short)
	if err != nil {
		t.Fatal(err)
	}
	loads := a.Loads()
	gotLoss, got := run(view, batch)
	if gotLoss != wantLoss {
		t.Errorf("%+v, window %d: a loss of %g, alone %g", s, l.Window, gotLoss, wantLoss)
	}
	Bits(t, "short windows", got, want)
	if again, err := a.Windows(short); again != view || err != nil || a.Loads() == loads {
		t.Errorf("views are made anew (%v), or loads are not counted", err)
	}
	afterLoss, after := run(a, whole)
	if afterLoss != beforeLoss {
		t.Errorf("%+v: after short windows a loss of %g, before %g", s, afterLoss, beforeLoss)
	}
	Bits(t, "long windows after short ones", after, before)
	for _, n := range []int{-1, s.SeqLen + 1} {
		if _, err := a.Windows(n); err == nil {
			t.Errorf("windows of %d positions are taken", n)
		}
	}
}

// halves is where two documents in each window begin.
func halves(s model.Size) (begins []uint32) {
	for range s.Batch {
		for i := range s.SeqLen {
			begin := uint32(0)
			if i >= s.SeqLen/2 {
				begin = uint32(s.SeqLen / 2)
			}
			begins = append(begins, begin)
		}
	}
	return begins
}
