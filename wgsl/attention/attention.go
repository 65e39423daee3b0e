package attention

import (
	"fmt"
	"strings"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

// Shape is B sequences of T positions, H query heads over KV key-value
// heads (query head h reads key-value head h / (H / KV)), of size D each.
type Shape = ref.AttentionShape

// maxHead is the largest head size that kernels are made for.
const maxHead = 256

// Forward sets out (B T, H D) to causal attention of q (B T, H D) over k
// and v (B T, KV D) with scale 1/sqrt(D), and lse (B, H, T; F32) to the logarithm of
// each softmax's denominator, for the backward kernels.
//
// With Shape.Documents the last 2 B rows of bounds (F32; T columns) say where documents begin
// and end, see Bounds; it may be the backward kernels' delta. Without, it is none.
func Forward(p *gpu.Pass, out, lse, q, k, v, bounds gpu.Tensor, s Shape) {
	tensors := p.Tensors(out, lse, q, k, v)
	if s.Documents {
		tensors = append(tensors, bounds)
	}
	run(p, forward, s, tensors)
}

// BackwardQuery sets dq (B T, H D), and delta (B, H, T; F32) to the inner
// products of dout and out, which BackwardKeyValue reads. With Shape.Documents delta is
// (B H + 2 B, T): the products, then bounds, which stay.
func BackwardQuery(p *gpu.Pass, dq, delta, dout, out, q, k, v, lse gpu.Tensor, s Shape) {
	run(p, backwardQuery, s, p.Tensors(dq, delta, dout, out, q, k, v, lse))
}

// BackwardKeyValue sets dk and dv (B T, KV D), each summed over the query
// heads of its group, in f32.
func BackwardKeyValue(p *gpu.Pass, dk, dv, dout, q, k, v, lse, delta gpu.Tensor, s Shape) {
	if g := s.Group(); g*s.T > kernel.MaxLoop { // one loop, see the kernel
		p.Fail(fmt.Errorf("attention: %d positions, at most %d for %d query heads per key-value head", s.T,
			kernel.MaxLoop/g, g))
		return
	}
	run(p, backwardKeyValue, s, p.Tensors(dk, dv, dout, q, k, v, lse, delta))
}

// run checks a call of a kernel and records it in the block that is chosen
// for its class.
func run(p *gpu.Pass, kind kernelKind, s Shape, tensors []gpu.Tensor) {
	const name = "attention"
	switch {
	case s.D < 2 || s.D > maxHead:
		p.Fail(fmt.Errorf("%s: head size %d, kernels exist for even sizes from 2 to %d", name, s.D, maxHead))
		return
	case s.D%2 != 0:
		p.Fail(fmt.Errorf("%s: head size %d is odd, kernels take elements by pairs", name, s.D))
		return
	case s.Group() < 1:
		p.Fail(fmt.Errorf("%s: %d query heads do not divide among %d key-value heads", name, s.H, s.KV))
		return
	case s.T > kernel.MaxLoop:
		p.Fail(fmt.Errorf("%s: %d positions, at most %d", name, s.T, kernel.MaxLoop))
		return
	}
	layout := kind.tensors(s.Documents)
	for _, letter := range "QKSDB" { // what is like q first
		for i, t := range tensors {
			rows, columns := tensorOf(letter, s)
			if letter == 'B' && len(t.Shape) > 0 { // other rows may stand before them
				rows = max(rows, t.Rows())
			}
			if rune(layout[i]) == letter && !kernel.Shaped(p, name, t, rows, columns) {
				return
			}
		}
	}
	main := tensors[strings.IndexByte(layout, 'Q')]
	if main.DType != gpu.F32 && main.DType != gpu.BF16 {
		p.Fail(fmt.Errorf("%s: tensor %s is %s, kernels take %s and %s", name, main.Name, main.DType, gpu.F32,
			gpu.BF16))
		return
	}
	c := Class{kind, main.DType, s}
	c.run(p, c.cut(p.Limits()).choose(p, c.work()), tensors)
}

// tensorOf is the rows and columns of a tensor with that letter, see
// kinds.
func tensorOf(letter rune, s Shape) (rows, columns int) {
	switch letter {
	case 'Q':
		return s.B * s.T, s.H * s.D
	case 'K':
		return s.B * s.T, s.KV * s.D
	case 'D':
		return s.B*s.H + 2*s.B, s.T
	case 'B':
		return 2 * s.B, s.T
	}
	return s.B * s.H, s.T
}
