package model

import (
	"steplm/gpu"
	"steplm/wgsl"
	"steplm/wgsl/attention"
	"steplm/wgsl/matmul"
)

// Gradients says what Backward does with them.
type Gradients struct {
	// Scale: the gradients are of Scale times the sum of the losses.
	Scale float32
	// Accumulate adds to the gradients that are there, instead of replacing them.
	Accumulate bool
	// Complete, unless nil, is called once for every trainable parameter, when its
	// gradient is complete and nothing later in the pass reads its weight: an
	// optimizer may record its step there. Gradient release needs it, since the next
	// gradient takes the same memory.
	Complete func(*gpu.Pass, *Param)
}

func (g Gradients) complete(p *gpu.Pass, q *Param) {
	if g.Complete != nil && q.Trainable() {
		g.Complete(p, q)
	}
}

// Backward computes the gradient of every trainable parameter, and adds the
// losses' sum to the stats, which the first micro-batch of a step begins at zero.
// Head and loss run together in row chunks, so that the full logits never exist.
// It reads bottom to top as Forward reads top to bottom.
func (m *Model) Backward(p *gpu.Pass, a *Activations, g Gradients) {
	c := m.Hidden
	m.chunks(a, func(at, rows int) {
		m.logits(p, a, at, rows)
		wgsl.CrossEntropy(p, a.logits, a.losses, a.targets, at, rows, m.Vocab, g.Scale)
		matmul.NN(p, a.dh, a.logits, m.Head.Weight, matmul.Shape{M: rows, N: c, K: m.Vocab, OutRow: at})
		if m.Head.Trainable() {
			matmul.TN(p, m.Head.Grad, a.logits, a.normed,
				matmul.Shape{M: m.Vocab, N: c, K: rows, Accumulate: g.Accumulate || at > 0, BRow: at})
		}
	})
	if !g.Accumulate {
		wgsl.Zero(p, a.Stats)
	}
	wgsl.SumLosses(p, a.Stats, a.losses, a.Rows())
	if !m.Tied {
		g.complete(p, m.Head)
	}

	wgsl.Zero(p, a.dx)
	m.normBackward(p, m.Norm, a.dx, a.dh, a.out, a.rstd, g)
	lowest := m.lowestTrainable()
	for i := len(m.Blocks) - 1; i >= max(lowest, 0); i-- {
		if a.Recompute && i < len(m.Blocks)-1 { // the last block's are still there
			m.recompute(p, m.Blocks[i], a, a.block(i))
		}
		m.blockBackward(p, m.Blocks[i], a, a.block(i), g)
	}
	if m.Embed.Trainable() {
		if !g.Accumulate && !m.Tied {
			wgsl.Zero(p, m.Embed.Grad)
		}
		wgsl.EmbedBackward(p, m.Embed.Grad, a.dx, a.tokens, a.starts, a.order, a.segments)
		g.complete(p, m.Embed)
	}
}

// recompute brings back what forward did not keep of a block.
func (m *Model) recompute(p *gpu.Pass, b *Block, a *Activations, x *blockActivations) {
	m.blockForward(p, b, a, x)
	if o := b.Down.LoRA; o != nil {
		o.down(p, x.u[b.Down.at], x.act, a)
	}
}

// blockBackward turns a.dx from the gradient of the block's output into that
// of its input.
func (m *Model) blockBackward(p *gpu.Pass, b *Block, a *Activations, x *blockActivations, g Gradients) {
	m.backward(p, b.Down, a, x, a.dact, a.dx, x.act, false, g)
	wgsl.SwiGLUBackward(p, a.dgate, a.dup, a.dact, x.gate, x.up)
	m.backwardTwo(p, a, x, a.dh, x.h2, flow{b.Up, a.dup}, flow{b.Gate, a.dgate}, g)
	m.normBackward(p, b.FFNNorm, a.dx, a.dh, x.mid, x.rstd2, g)

	m.backward(p, b.WO, a, x, a.dout, a.dx, x.attn, false, g)
	attention.BackwardQuery(p, a.dq, a.products(), a.dout, x.attn, x.q, x.k, x.v, x.lse, m.attention(a))
	attention.BackwardKeyValue(p, a.dk, a.dv, a.dout, x.q, x.k, x.v, x.lse, a.products(), m.attention(a))
	if !b.NoRope {
		cos, sin, turned := m.rope(a)
		wgsl.RopeBackward(p, a.dq, a.dk, cos, sin, turned)
	}
	dq, dk := m.headNormsBackward(p, b, a, x, g)
	m.backwardTwo(p, a, x, a.dh, x.h1, flow{b.WV, a.dv}, flow{b.WK, dk}, g)
	m.backward(p, b.WQ, a, x, a.dh, dq, x.h1, true, g)
	m.normBackward(p, b.AttnNorm, a.dx, a.dh, x.x, x.rstd1, g)
}

// headNormsBackward turns a.dq and a.dk from the gradients of normed queries and keys into those of what was normed,
// where there are such norms, and says where these are: that of attention's output, a.dout, is no longer needed.
func (m *Model) headNormsBackward(p *gpu.Pass, b *Block, a *Activations, x *blockActivations, g Gradients,
) (dq, dk gpu.Tensor) {
	if b.QNorm == nil {
		return a.dq, a.dk
	}
	for _, n := range []struct {
		norm                *Param
		dx, dout, raw, rstd gpu.Tensor
	}{{b.QNorm, a.dout, a.dq, x.rawQ, x.rstdQ}, {b.KNorm, a.dRawK, a.dk, x.rawK, x.rstdK}} {
		wgsl.Zero(p, n.dx)
		wgsl.HeadNormBackward(p, n.dx, n.dout, n.raw, n.norm.Weight, n.rstd)
		if n.norm.Trainable() {
			sums := a.headSums.As(gpu.Spec{Name: a.headSums.Name, Class: gpu.Scratch, Shape: []int{n.raw.Cols()}}, 0)
			wgsl.HeadNormBackwardWeight(p, n.norm.Grad, sums, n.dout, n.raw, n.rstd, g.Accumulate)
			g.complete(p, n.norm)
		}
	}
	return a.dout, a.dRawK
}

// normBackward adds a norm's input gradient to dx and computes its weight's.
func (m *Model) normBackward(p *gpu.Pass, norm *Param, dx, dout, x, rstd gpu.Tensor, g Gradients) {
	wgsl.RMSNormBackward(p, dx, dout, x, norm.Weight, rstd)
	if norm.Trainable() {
		wgsl.RMSNormBackwardWeight(p, norm.Grad, dout, x, rstd, g.Accumulate)
		g.complete(p, norm)
	}
}

// flow is a linear with the gradient of its output.
type flow struct {
	*Linear
	dy gpu.Tensor
}

// backwardTwo is backward of two linears of one input x: their shares of dx are one
// product, unless another one takes part in it already.
func (m *Model) backwardTwo(
	p *gpu.Pass, a *Activations, block *blockActivations, dx, x gpu.Tensor, f1, f2 flow, g Gradients,
) {
	if !f1.plain() || !f2.plain() {
		m.backward(p, f1.Linear, a, block, dx, f1.dy, x, false, g)
		m.backward(p, f2.Linear, a, block, dx, f2.dy, x, true, g)
		return
	}
	matmul.NN(p, dx, f1.dy, f1.Weight, matmul.Shape{M: a.Rows(), N: f1.In, K: f1.Out,
		Second: matmul.Product{A: f2.dy, B: f2.Weight, K: f2.Out}})
	m.weightGradient(p, f1.Linear, a, f1.dy, x, g)
	m.weightGradient(p, f2.Linear, a, f2.dy, x, g)
}

// plain reports whether the linear is one product: of a matrix that needs no room to
// become numbers, without LoRA.
func (l *Linear) plain() bool { return l.LoRA == nil && l.Scales.None() }

// backward sets (or adds to) dx from dy, and computes the gradients of whatever
// trains: W, or LoRA's A and B. No gradient is begun before the one before
// it is complete.
func (m *Model) backward(
	p *gpu.Pass, l *Linear, a *Activations, block *blockActivations, dx, dy, x gpu.Tensor, add bool, g Gradients,
) {
	rows := a.Rows()
	s := matmul.Shape{M: rows, N: l.In, K: l.Out, Accumulate: add}
	if o := l.LoRA; o != nil {
		matmul.NN(p, a.du, dy, o.B.Weight, matmul.Shape{M: rows, N: o.Rank, K: l.Out, Scale: o.Scale})
		s.Second = matmul.Product{A: a.du, B: o.A.Weight, K: o.Rank}
	}
	matmul.NN(p, dx, dy, m.dense(p, l.Param, a.frozen), s)
	m.weightGradient(p, l, a, dy, x, g)
	if o := l.LoRA; o != nil {
		matmul.TNSplit(p, o.B.Grad, a.slices, dy, block.u[l.at],
			matmul.Shape{M: l.Out, N: o.Rank, K: rows, Accumulate: g.Accumulate})
		g.complete(p, o.B)
		matmul.TNSplit(p, o.A.Grad, a.slices, a.du, x,
			matmul.Shape{M: o.Rank, N: l.In, K: rows, Accumulate: g.Accumulate})
		g.complete(p, o.A)
	}
}

// weightGradient computes the gradients of what trains of W and its bias.
func (m *Model) weightGradient(p *gpu.Pass, l *Linear, a *Activations, dy, x gpu.Tensor, g Gradients) {
	if l.Trainable() {
		matmul.TN(p, l.Grad, dy, x, matmul.Shape{M: l.Out, N: l.In, K: a.Rows(), Accumulate: g.Accumulate})
		g.complete(p, l.Param)
	}
	if l.Bias != nil && l.Bias.Trainable() {
		wgsl.BiasBackward(p, l.Bias.Grad, dy, g.Accumulate)
		g.complete(p, l.Bias)
	}
}
