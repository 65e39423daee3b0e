package model_test

import (
	"math"
	"slices"
	"testing"

	"steplm/model"
)

// A layout small enough for paper.
func TestFLOPsByHand(t *testing.T) {
	// Hidden 4 in 2 heads of 2 over 1 key-value head, so wq and wo are 4 x 4,
	// wk and wv 2 x 4; FFN 6: gate and up 6 x 4, down 4 x 6; vocabulary 5. One
	// sequence of 3.
	c := model.Config{Hidden: 4, FFN: 6, Layers: 2, Heads: 2, KVHeads: 1, Vocab: 5, MaxSeqLen: 3, NormEps: 1e-5,
		RopeTheta: 1e4}
	s := model.Size{Batch: 1, SeqLen: 3}
	const (
		linears   = 2 * 3 * (16 + 8 + 8 + 16 + 24 + 24 + 24) // 720
		attention = 2 * 6 * 2                                // 2 heads, 6 pairs, 2 elements
		head      = 2 * 3 * 5 * 4
		adapters  = 2 * 3 * 1 * ((2 + 4) + (4 + 6)) // rank 1 on wk and down
	)
	wrapped := model.Plain(c, 2)
	wrapped.Blocks[0].Frozen, wrapped.Blocks[0].Wrapped = true, true
	wrapped.LoRA = model.LoRALayout{Rank: 1, Alpha: 1, Targets: []string{"wk", "down"}}
	// Nothing below block 1 trains.
	upper := model.Plain(c, 2)
	upper.Blocks[0].Frozen, upper.TrainEmbedding, upper.TrainNorms, upper.TrainHead = true, false, false, false
	// A frozen block between embedding and the rest still passes gradients on.
	between := model.Plain(c, 2)
	between.Blocks[0].Frozen = true
	tied := model.Plain(c, 1)
	tied.Tied, tied.TrainHead = true, false // the embedding decides
	window := model.Plain(c, 1)
	window.Window = 2 // of 6 pairs of query and key it leaves 5
	wide := model.Plain(c, 1)
	wide.HeadSize, wide.QKVBias, wide.QKNorm = 8, true, true // q, k, v and wo are four times as large
	for _, c := range []struct {
		name string
		l    model.Layout
		want [2]float64 // forward, backward
	}{
		{"one block", model.Plain(c, 1), [2]float64{linears + 4*attention + head, 2*linears + 14*attention + 2*head}},
		{"two blocks", model.Plain(c, 2), [2]float64{2*linears + 8*attention + head, 4*linears + 28*attention +
			2*head}},
		{"tied", tied, [2]float64{linears + 4*attention + head, 2*linears + 14*attention + 2*head}},
		{"window", window, [2]float64{linears + 4*attention*5/6 + head, 2*linears + 14*attention*5/6 + 2*head}},
		{"heads of 8", wide, [2]float64{linears + 3*2*3*48 + 16*attention + head,
			2*linears + 6*2*3*48 + 56*attention + 2*head}},
		{"inference", model.Plain(c, 2).ForInference(), [2]float64{2*linears + 8*attention + head, 0}},
		{"wrapped", wrapped, [2]float64{2*linears + adapters + 8*attention + head,
			3*linears + 2*adapters + 28*attention + 2*head}},
		{"frozen", between, [2]float64{2*linears + 8*attention + head, 3*linears + 28*attention + 2*head}},
		{"upper half", upper, [2]float64{2*linears + 8*attention + head, 2*linears + 14*attention + head}},
	} {
		if got := c.l.FLOPs(s); got.Forward != c.want[0] || got.Backward != c.want[1] {
			t.Errorf("%s: %+v, want %v", c.name, got, c.want)
		}
	}
}

// The parts of a grown model with recomputation.
func TestFLOPsParts(t *testing.T) {
	c := model.Config{Hidden: 4, FFN: 6, Layers: 2, Heads: 2, KVHeads: 1, Vocab: 5, MaxSeqLen: 3, NormEps: 1e-5,
		RopeTheta: 1e4}
	l := model.Plain(c, 2)
	l.Blocks[0].Frozen, l.Blocks[0].Wrapped = true, true
	l.LoRA = model.LoRALayout{Rank: 1, Alpha: 1, Targets: []string{"wk", "down"}}
	// By the numbers of TestFLOPsByHand; the first block is run again but for down and its
	// adapter's B.
	want := model.FLOPs{WeightGradients: 720, LoRA: 3 * 96, Attention: 2 * 18 * 24, Head: 3 * 120,
		Recomputation: 720 + 96 + 4*24 - 2*3*(24+4)}
	got := l.FLOPs(model.Size{Batch: 1, SeqLen: 3, Recompute: true})
	want.Forward, want.Backward = got.Forward, got.Backward
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if sum :=
		4*720 + got.WeightGradients + got.LoRA + got.Attention + got.Head + got.Recomputation; got.Total() != sum {
		t.Errorf("the parts and two linears each way are %g, all is %g", sum, got.Total())
	}
}

// With N parameters in matrices (embedding aside), a token costs 2 N forward and
// 6 N in all, plus attention.
func TestFLOPsPerParameter(t *testing.T) {
	for _, name := range model.Presets() {
		c, err := model.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		n := float64(int64(c.Layers)*c.LayerParams() + c.EmbeddingParams())
		one, f := model.Plain(c, c.Layers).FLOPs(model.Size{Batch: 1, SeqLen: 1}), model.Plain(c,
			c.Layers).FLOPs(model.Size{Batch: 8, SeqLen: c.MaxSeqLen})
		if ratio := one.Total() / (6 * n); ratio < 1 || ratio > 1.01 {
			t.Errorf("%s: %.4f of 6 N for one token", name, ratio)
		}
		// A position attends to (T+1)/2 on average; 4 + 14 D per pair and head.
		rows := float64(8 * c.MaxSeqLen)
		attention := 18 * float64(c.Layers*c.Hidden) * float64(c.MaxSeqLen+1) / 2
		if want := rows * (6*n + attention); math.Abs(f.Total()-want) > 1e-9*want {
			t.Errorf("%s: %g, want %g", name, f.Total(), want)
		}
	}
}

// Freezing the lower half under small adapters saves about the weight gradients
// of that half: a sixth of what linears cost.
func TestFLOPsSavedByFreezing(t *testing.T) {
	c, err := model.Preset("130m")
	if err != nil {
		t.Fatal(err)
	}
	s := model.Size{Batch: 4, SeqLen: 256}
	plain := model.Plain(c, c.Layers)
	frozen := plain
	frozen.Blocks = slices.Clone(plain.Blocks)
	frozen.LoRA = model.LoRALayout{Rank: 8, Alpha: 8, Targets: model.LinearNames()}
	for i := range c.Layers / 2 {
		frozen.Blocks[i].Frozen, frozen.Blocks[i].Wrapped = true, true
	}
	half := float64(c.Layers/2) * 2 * float64(s.Rows()) * float64(c.LayerParams())
	saved := plain.FLOPs(s).Total() - frozen.FLOPs(s).Total()
	adapters, err := c.LoRAParams(8, model.LinearNames())
	if err != nil {
		t.Fatal(err)
	}
	if want := half - 6*float64(s.Rows())*float64(int64(c.Layers/2)*adapters); saved != want {
		t.Errorf("%g saved, want %g", saved, want)
	}
	if saved < 0.8*half {
		t.Errorf("%g saved of the %g that the weight gradients cost", saved, half)
	}
}
