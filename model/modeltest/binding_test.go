package modeltest

import (
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
)

// Embedding and head, their gradients and all linears may be larger than what the
// device binds to a kernel: they go by parts, and in f32 with the same bits.
func TestBeyondTheBindingLimit(t *testing.T) {
	c := model.Config{Hidden: 64, FFN: 96, Layers: 2, Heads: 4, KVHeads: 2, Vocab: 3001, MaxSeqLen: 16, NormEps: 1e-5,
		RopeTheta: 1e4}
	const limit = 64 << 10
	for _, tied := range []bool{false, true} {
		c.Tied = tied
		for name, s := range map[string]model.Storage{"f32": model.FullStorage,
			"bf16": {Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Frozen: model.BF16}} {
			t.Run(name, func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					size := model.Size{Batch: 2, SeqLen: 13, HeadRows: 5}
					b := SomeBatch(3, size, c.Vocab)
					m := NewStored(t, d, WithStorage(model.Plain(c, 2), s))
					if n := m.Embed.Weight.Bytes(); n < 4*limit {
						t.Fatalf("the embedding has %d bytes: this shows nothing", n)
					}
					a := NewActivations(t, m, size)
					loss := Train(t, m, a, MeanScale(b), b)
					want, wantLogits := Gradients(t, m), Logits(t, m, a, b)

					defer gpu.RestrictBinding(d, limit)()
					Near(t, "loss", Train(t, m, a, MeanScale(b), b), loss, 1e-7)
					got, gotLogits := Gradients(t, m), Logits(t, m, a, b)
					if name == "f32" {
						Bits(t, "in parts", got, want)
						Bits(t, "in parts", map[string][]float32{"logits": gotLogits},
							map[string][]float32{"logits": wantLogits})
						return
					}
					var worst Comparison // a sum over the vocabulary is rounded once per part
					for name, g := range got {
						worst.Check(t, name, g, want[name], 0.05)
					}
					worst.Report(t)
				})
			})
		}
	}
}
