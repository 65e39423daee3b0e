package model

import (
	"steplm/gpu"
	"steplm/wgsl"
)

// Backward adds the gradients of scale * (sum of the losses) to every trainable
// parameter's gradient, and the losses' sum to the stats. Head and loss run
// together in row chunks, so that the full logits never exist. It reads bottom
// to top as Forward reads top to bottom.
func (m *Model) Backward(p *gpu.Pass, a *Activations, scale float32) {
	rows, c := a.Rows(), m.Hidden
	m.chunks(a, func(at, rows int) {
		m.logits(p, a, at, rows)
		wgsl.CrossEntropy(p, a.logits, a.losses, a.targets, at, rows, m.Vocab, scale)
		wgsl.MatmulNN(p, a.dh, a.logits, m.Head.Weight, wgsl.MatmulShape{M: rows, N: c, K: m.Vocab, OutAt: at * c})
		if m.Head.Trainable() {
			wgsl.MatmulTN(p, m.Head.Grad, a.logits, a.normed, wgsl.MatmulShape{M: m.Vocab, N: c, K: rows, Accumulate: true, BAt: at * c})
		}
	})
	wgsl.SumLosses(p, a.Stats, a.losses, rows)

	wgsl.Fill(p, a.dx, 0, rows*c)
	m.normBackward(p, m.Norm, a.dx, a.dh, a.out, a.rstd, rows)
	lowest := m.lowestTrainable()
	for i := len(m.Blocks) - 1; i >= max(lowest, 0); i-- {
		m.blockBackward(p, m.Blocks[i], a, a.block(i))
	}
	if m.Embed.Trainable() {
		wgsl.EmbedBackward(p, m.Embed.Grad, a.dx, a.tokens, a.starts, a.order, a.segments, c)
	}
}

// blockBackward turns a.dx from the gradient of the block's output into that
// of its input.
func (m *Model) blockBackward(p *gpu.Pass, b *Block, a *Activations, x *blockActivations) {
	rows := a.Rows()
	b.Down.backward(p, a, a.dact, a.dx, x.act, x.u[6], false)
	wgsl.SwiGLUBackward(p, a.dgate, a.dup, a.dact, x.gate, x.up, rows*m.FFN)
	b.Up.backward(p, a, a.dh, a.dup, x.h2, x.u[5], false)
	b.Gate.backward(p, a, a.dh, a.dgate, x.h2, x.u[4], true)
	m.normBackward(p, b.FFNNorm, a.dx, a.dh, x.mid, x.rstd2, rows)

	b.WO.backward(p, a, a.dout, a.dx, x.attn, x.u[3], false)
	wgsl.AttentionBackwardQuery(p, a.dq, a.delta, a.dout, x.attn, x.q, x.k, x.v, x.lse, m.attention(a))
	wgsl.AttentionBackwardKeyValue(p, a.dk, a.dv, a.dout, x.q, x.k, x.v, x.lse, a.delta, m.attention(a))
	wgsl.RopeBackward(p, a.dk, a.cos, a.sin, rows, a.SeqLen, m.KVHeads, m.HeadDim())
	wgsl.RopeBackward(p, a.dq, a.cos, a.sin, rows, a.SeqLen, m.Heads, m.HeadDim())
	b.WV.backward(p, a, a.dh, a.dv, x.h1, x.u[2], false)
	b.WK.backward(p, a, a.dh, a.dk, x.h1, x.u[1], true)
	b.WQ.backward(p, a, a.dh, a.dq, x.h1, x.u[0], true)
	m.normBackward(p, b.AttnNorm, a.dx, a.dh, x.x, x.rstd1, rows)
}

// normBackward adds a norm's input gradient to dx and its weight's to its own.
func (m *Model) normBackward(p *gpu.Pass, norm *Param, dx, dout, x, rstd gpu.Tensor, rows int) {
	if norm.Trainable() {
		wgsl.RMSNormBackwardWeight(p, norm.Grad, dout, x, rstd, rows, m.Hidden)
	}
	wgsl.RMSNormBackward(p, dx, dout, x, norm.Weight, rstd, rows, m.Hidden)
}

// backward sets (or adds to) dx from dy, and adds to the gradients of whatever
// trains: W, or the adapter's A and B.
func (l *Linear) backward(p *gpu.Pass, a *Activations, dx, dy, x, u gpu.Tensor, add bool) {
	rows := a.Rows()
	wgsl.MatmulNN(p, dx, dy, l.Weight, wgsl.MatmulShape{M: rows, N: l.In, K: l.Out, Accumulate: add})
	if l.Trainable() {
		wgsl.MatmulTN(p, l.Grad, dy, x, wgsl.MatmulShape{M: l.Out, N: l.In, K: rows, Accumulate: true})
	}
	if l.LoRA == nil {
		return
	}
	r := l.LoRA.Rank
	wgsl.MatmulTN(p, l.LoRA.B.Grad, dy, u, wgsl.MatmulShape{M: l.Out, N: r, K: rows, Accumulate: true})
	wgsl.MatmulNN(p, a.du, dy, l.LoRA.B.Weight, wgsl.MatmulShape{M: rows, N: r, K: l.Out, Scale: l.LoRA.Scale})
	wgsl.MatmulTN(p, l.LoRA.A.Grad, a.du, x, wgsl.MatmulShape{M: r, N: l.In, K: rows, Accumulate: true})
	wgsl.MatmulNN(p, dx, a.du, l.LoRA.A.Weight, wgsl.MatmulShape{M: rows, N: l.In, K: r, Accumulate: true})
}

// ZeroGradients clears every gradient and the losses' sum: the start of a step.
func (m *Model) ZeroGradients(p *gpu.Pass, a *Activations) {
	wgsl.Fill(p, a.Stats, 0, wgsl.StatWords)
	for _, q := range m.Params() {
		if q.Trainable() {
			wgsl.Fill(p, q.Grad, 0, q.Grad.Elements())
		}
	}
}
