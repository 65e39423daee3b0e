package model

import (
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
)

// Embedding and head, their gradients and all linears may be larger than what the
// device binds to a kernel: they go by parts, and in f32 with the same bits.
func TestBeyondTheBindingLimit(t *testing.T) {
	c := Config{Hidden: 64, FFN: 96, Layers: 2, Heads: 4, KVHeads: 2, Vocab: 3001, MaxSeqLen: 16, NormEps: 1e-5,
		RopeTheta: 1e4}
	const limit = 64 << 10
	for _, tied := range []bool{false, true} {
		c.Tied = tied
		for name, s := range map[string]Storage{"f32": FullStorage, "bf16": {BF16, SplitStates, BF16, false, BF16}} {
			t.Run(name, func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					size := Size{Batch: 2, SeqLen: 13, HeadRows: 5}
					b := someBatch(3, size, c.Vocab)
					m := newStored(t, d, Plain(c, 2).in(s))
					if n := m.Embed.Weight.Bytes(); n < 4*limit {
						t.Fatalf("the embedding has %d bytes: this shows nothing", n)
					}
					a := newActivations(t, m, size)
					loss := train(t, m, a, meanScale(b), b)
					want, wantLogits := gradients(t, m), logits(t, m, a, b)

					defer gpu.RestrictBinding(d, limit)()
					near(t, "loss", train(t, m, a, meanScale(b), b), loss, 1e-7)
					got, gotLogits := gradients(t, m), logits(t, m, a, b)
					if name == "f32" {
						bits(t, "in parts", got, want)
						bits(t, "in parts", map[string][]float32{"logits": gotLogits},
							map[string][]float32{"logits": wantLogits})
						return
					}
					var worst comparison // a sum over the vocabulary is rounded once per part
					for name, g := range got {
						worst.check(t, name, g, want[name], 0.05)
					}
					worst.report(t)
				})
			})
		}
	}
}
