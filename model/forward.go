package model

import (
	"steplm/gpu"
	"steplm/wgsl"
)

// Forward runs the loaded batch to the last norm.
func (m *Model) Forward(p *gpu.Pass, a *Activations) {
	rows, c := a.Rows(), m.Hidden
	wgsl.EmbedForward(p, a.block(0).x, m.Embed.Weight, a.ids, rows, c)
	for i, b := range m.Blocks {
		m.blockForward(p, b, a, a.block(i), a.next(i))
	}
	wgsl.RMSNormForward(p, a.normed, a.rstd, a.out, m.Norm.Weight, rows, c, float32(m.NormEps))
}

func (m *Model) blockForward(p *gpu.Pass, b *Block, a *Activations, x *blockActivations, out gpu.Tensor) {
	rows, c, eps := a.Rows(), m.Hidden, float32(m.NormEps)
	wgsl.RMSNormForward(p, x.h1, x.rstd1, x.x, b.AttnNorm.Weight, rows, c, eps)
	b.WQ.forward(p, a, x.q, x.h1, x.u[0])
	b.WK.forward(p, a, x.k, x.h1, x.u[1])
	b.WV.forward(p, a, x.v, x.h1, x.u[2])
	wgsl.RopeForward(p, x.q, a.cos, a.sin, rows, a.SeqLen, m.Heads, m.HeadDim())
	wgsl.RopeForward(p, x.k, a.cos, a.sin, rows, a.SeqLen, m.KVHeads, m.HeadDim())
	wgsl.AttentionForward(p, x.attn, x.lse, x.q, x.k, x.v, m.attention(a))
	b.WO.forward(p, a, x.mid, x.attn, x.u[3])
	wgsl.Add(p, x.mid, x.x, rows*c)

	wgsl.RMSNormForward(p, x.h2, x.rstd2, x.mid, b.FFNNorm.Weight, rows, c, eps)
	b.Gate.forward(p, a, x.gate, x.h2, x.u[4])
	b.Up.forward(p, a, x.up, x.h2, x.u[5])
	wgsl.SwiGLUForward(p, x.act, x.gate, x.up, rows*m.FFN)
	b.Down.forward(p, a, out, x.act, x.u[6])
	wgsl.Add(p, out, x.mid, rows*c)
}

func (m *Model) attention(a *Activations) wgsl.AttentionShape {
	return wgsl.AttentionShape{B: a.Batch, T: a.SeqLen, H: m.Heads, KV: m.KVHeads, D: m.HeadDim()}
}

// forward is y(rows, out) = x W^T + u B^T with u = scale x A^T, kept for
// backward.
func (l *Linear) forward(p *gpu.Pass, a *Activations, y, x, u gpu.Tensor) {
	rows := a.Rows()
	wgsl.MatmulNT(p, y, x, l.Weight, wgsl.MatmulShape{M: rows, N: l.Out, K: l.In})
	if l.LoRA == nil {
		return
	}
	if u.None() {
		u = a.du // not training: nothing is kept
	}
	wgsl.MatmulNT(p, u, x, l.LoRA.A.Weight, wgsl.MatmulShape{M: rows, N: l.LoRA.Rank, K: l.In, Scale: l.LoRA.Scale})
	wgsl.MatmulNT(p, y, u, l.LoRA.B.Weight, wgsl.MatmulShape{M: rows, N: l.Out, K: l.LoRA.Rank, Accumulate: true})
}

// Loss computes every target's loss after Forward, without gradients.
func (m *Model) Loss(p *gpu.Pass, a *Activations) {
	m.chunks(a, func(at, rows int) {
		m.logits(p, a, at, rows)
		wgsl.CrossEntropyForward(p, a.logits, a.losses, a.targets, at, rows, m.Vocab)
	})
}

// logits computes those of rows at..at+rows.
func (m *Model) logits(p *gpu.Pass, a *Activations, at, rows int) {
	wgsl.MatmulNT(p, a.logits, a.normed, m.Head.Weight, wgsl.MatmulShape{M: rows, N: m.Vocab, K: m.Hidden, AAt: at * m.Hidden})
}

func (m *Model) chunks(a *Activations, do func(at, rows int)) {
	for at := 0; at < a.Rows(); at += a.chunk {
		do(at, min(a.chunk, a.Rows()-at))
	}
}

// Logits runs the loaded batch and reads all its logits, (rows, V): for tests
// and small inputs, since they do not otherwise exist at once.
func (m *Model) Logits(a *Activations) ([]float32, error) {
	all := make([]float32, a.Rows()*m.Vocab)
	p := m.dev.Begin("forward")
	m.Forward(p, a)
	if err := p.End(); err != nil {
		return nil, err
	}
	var failed error
	m.chunks(a, func(at, rows int) {
		p := m.dev.Begin("logits")
		m.logits(p, a, at, rows)
		if err := p.End(); err != nil && failed == nil {
			failed = err
		}
		if err := m.dev.Read(a.logits, 0, gpu.Words(all[at*m.Vocab:(at+rows)*m.Vocab])); err != nil && failed == nil {
			failed = err
		}
	})
	return all, failed
}
