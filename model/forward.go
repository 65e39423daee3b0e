package model

import (
	"steplm/gpu"
	"steplm/wgsl"
	"steplm/wgsl/attention"
	"steplm/wgsl/matmul"
)

// Forward runs the loaded batch to the last norm.
func (m *Model) Forward(p *gpu.Pass, a *Activations) {
	a.angles(p)
	wgsl.EmbedForward(p, a.block(0).x, m.Embed.Weight, a.ids)
	for i, b := range m.Blocks {
		m.blockForward(p, b, a, a.block(i))
		m.blockOutput(p, b, a, a.block(i), a.next(i))
	}
	wgsl.RMSNormForward(p, a.normed, a.rstd, a.out, m.Norm.Weight, float32(m.NormEps))
}

// blockForward computes what blockOutput and backward read, from the block's
// input.
func (m *Model) blockForward(p *gpu.Pass, b *Block, a *Activations, x *blockActivations) {
	eps := float32(m.NormEps)
	wgsl.RMSNormForward(p, x.h1, x.rstd1, x.x, b.AttnNorm.Weight, eps)
	none := gpu.Tensor{}
	m.forward(p, b.WQ, a, x, x.projectedQ(), x.h1, none)
	m.forward(p, b.WK, a, x, x.projectedK(), x.h1, none)
	m.forward(p, b.WV, a, x, x.v, x.h1, none)
	if b.QNorm != nil {
		wgsl.HeadNormForward(p, x.q, x.rstdQ, x.rawQ, b.QNorm.Weight, eps)
		wgsl.HeadNormForward(p, x.k, x.rstdK, x.rawK, b.KNorm.Weight, eps)
	}
	if !b.NoRope {
		cos, sin, turned := m.rope(a)
		wgsl.RopeForward(p, x.q, x.k, cos, sin, turned)
	}
	m.attend(p, a, x)
	m.forward(p, b.WO, a, x, x.mid, x.attn, x.x)

	wgsl.RMSNormForward(p, x.h2, x.rstd2, x.mid, b.FFNNorm.Weight, eps)
	m.forward(p, b.Gate, a, x, x.gate, x.h2, none)
	m.forward(p, b.Up, a, x, x.up, x.h2, none)
	wgsl.SwiGLUForward(p, x.act, x.gate, x.up)
}

// blockOutput is the rest of the block: of it backward reads LoRA's u alone.
func (m *Model) blockOutput(p *gpu.Pass, b *Block, a *Activations, x *blockActivations, out gpu.Tensor) {
	m.forward(p, b.Down, a, x, out, x.act, x.mid)
}

// attend sets x.attn to attention of x.q over x.k and x.v, or over what a cache holds with them.
func (m *Model) attend(p *gpu.Pass, a *Activations, x *blockActivations) {
	if x.cache.keys.None() {
		attention.Forward(p, x.attn, x.lse, x.q, x.k, x.v, a.bounds, m.attention(a))
		return
	}
	s := attention.CachedShape{Rows: a.Rows(), H: m.Heads, KV: m.KVHeads, D: m.HeadDim(),
		Positions: x.cache.keys.Rows(), Window: m.Window}
	attention.CacheStore(p, x.cache.keys, x.cache.values, x.k, x.v, a.rows.places, s)
	if a.rows.decode {
		attention.Decode(p, x.attn, x.q, x.cache.keys, x.cache.values, a.rows.places, s)
		return
	}
	attention.Cached(p, x.attn, x.q, x.cache.keys, x.cache.values, a.rows.places, s)
}

func (m *Model) attention(a *Activations) attention.Shape {
	return attention.Shape{B: a.Batch, T: a.SeqLen, H: m.Heads, KV: m.KVHeads, D: m.HeadDim(), Documents: a.divided}
}

// forward is y(rows, out) = [residual +] x W^T + u B^T + b with u = scale x A^T, which the
// block keeps for backward.
func (m *Model) forward(p *gpu.Pass, l *Linear, a *Activations, block *blockActivations, y, x, residual gpu.Tensor) {
	s := matmul.Shape{M: a.Rows(), N: l.Out, K: l.In, Residual: residual}
	if l.LoRA != nil {
		u := block.u[l.at]
		if u.None() {
			u = a.du // not training: nothing is kept
		}
		l.LoRA.down(p, u, x, a)
		s.Second = matmul.Product{A: u, B: l.LoRA.B.Weight, K: l.LoRA.Rank}
	}
	a.product(p, y, x, m.dense(p, l.Param, a.frozen), s)
	if l.Bias != nil {
		wgsl.BiasForward(p, y, l.Bias.Weight)
	}
}

// product is y = x W^T.
func (a *Activations) product(p *gpu.Pass, y, x, w gpu.Tensor, s matmul.Shape) {
	if a.rows.decode {
		matmul.Decode(p, y, x, w, s)
		return
	}
	matmul.NT(p, y, x, w, s)
}

// down is u(rows, R) = scale x A^T.
func (o *LoRA) down(p *gpu.Pass, u, x gpu.Tensor, a *Activations) {
	a.product(p, u, x, o.A.Weight, matmul.Shape{M: a.Rows(), N: o.Rank, K: x.Cols(), Scale: o.Scale})
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
	matmul.NT(p, a.logits, a.normed, m.Head.Weight, matmul.Shape{M: rows, N: m.Vocab, K: m.Hidden, ARow: at})
}

func (m *Model) chunks(a *Activations, do func(at, rows int)) {
	for at := 0; at < a.Rows(); at += a.HeadRows {
		do(at, min(a.HeadRows, a.Rows()-at))
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
		if err := gpu.ReadRows(m.dev, a.logits, 0, all[at*m.Vocab:(at+rows)*m.Vocab]); err != nil && failed == nil {
			failed = err
		}
	})
	return all, failed
}
