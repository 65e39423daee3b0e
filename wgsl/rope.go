package wgsl

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/attention"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

// ropeUnits is rope.wgsl with units of so many elements.
type ropeUnits struct {
	*kernel.Family
	size int
}

var ropePairs = declareRope("rope_pairs", 2, `alias Unit = Pair;
alias Floats = vec2<f32>;
fn unpack_unit(u: Unit) -> Floats { return unpack(u); }
fn pack_unit(v: Floats) -> Unit { return pack(v); }
fn times(a: Floats, b: Floats) -> Floats { return a * b; }
`)

var ropeEights = declareRope("rope_eights", 8, `alias Unit = Eight;
alias Floats = mat2x4<f32>;
fn unpack_unit(u: Unit) -> Floats { return unpack_eight(u); }
fn pack_unit(v: Floats) -> Unit { return pack_eight(v); }
fn times(a: Floats, b: Floats) -> Floats { return Floats(a[0] * b[0], a[1] * b[1]); }
`)

func declareRope(name string, size int, units string) ropeUnits {
	k := gpu.Kernel{Name: name, Entry: "rope", Source: units + library.Text("rope"), Workgroup: [3]int{64, 1, 1},
		Access: []gpu.Access{w, w, r, r},
		Host:   func(a gpu.Args) { hostRope(a, 2*size*a.Int(4)) }}
	return ropeUnits{library.Family(k, "PPFF", kernel.Storages[:2]), size}
}

var ropeOdd = library.Typed("rope_odd", [3]int{64, 1, 1}, []gpu.Access{w, w, r, r}, "PPFF", func(a gpu.Args) {
	hostRope(a, 2*a.Int(4))
})

func hostRope(a gpu.Args, d int) {
	turn := ref.RopeBackward[float32]
	if a.Float(5) > 0 {
		turn = ref.RopeForward[float32]
	}
	for i, heads := range []int{a.Int(2), a.Int(3)} {
		turn(a.F(i), a.F(2), a.F(3), len(a.F(i))/(heads*d), a.Int(1), heads, d)
	}
}

// RopeFrequencies are those of a head of size d, theta^(-2i/d) for pair i.
func RopeFrequencies(d int, theta float64) []float64 { return ref.RopeFrequencies(d, theta) }

// RopeTables returns the cosines and sines (t, d/2) of the angles p f for position p and
// the frequencies f of d/2 pairs, times scale, which RopeForward reads.
func RopeTables(t int, frequencies []float64, scale float64) (cos, sin []float32) {
	return ref.RopeTables(t, frequencies, scale)
}

// RopeForward turns the heads of q (B T, H D) and of k (B T, KV D) in place by their
// positions; cos and sin (T, D/2) are F32.
func RopeForward(p *gpu.Pass, q, k, cos, sin gpu.Tensor, s attention.Shape) {
	runRope(p, q, k, cos, sin, s, 1)
}

// RopeBackward turns gradients of RopeForward's results into those of what it turned:
// the same rotation backwards.
func RopeBackward(p *gpu.Pass, dq, dk, cos, sin gpu.Tensor, s attention.Shape) {
	runRope(p, dq, dk, cos, sin, s, -1)
}

func runRope(p *gpu.Pass, q, k, cos, sin gpu.Tensor, s attention.Shape, sign float32) {
	if s.D < 2 || s.D%2 != 0 {
		p.Fail(fmt.Errorf("rope: head size %d, rotary embedding needs an even one", s.D))
		return
	}
	rows, width := s.B*s.T, s.D/2
	if !kernel.Shaped(p, "rope", q, rows, s.H*s.D) || !kernel.Shaped(p, "rope", k, rows, s.KV*s.D) ||
		!kernel.Shaped(p, "rope", cos, s.T, width) || !kernel.Shaped(p, "rope", sin, s.T, width) {
		return
	}
	some := 1
	if p.Limits().CPU {
		some = min(s.H+s.KV, kernel.MaxWalk)
	}
	switch {
	case width%8 == 0:
		ropeEights.turn(p, q, k, cos, sin, s, some, sign)
	case width%2 == 0:
		ropePairs.turn(p, q, k, cos, sin, s, some, sign)
	case width > kernel.MaxLoop:
		p.Fail(fmt.Errorf("rope: head size %d, at most %d where half of it is odd", s.D, 2*kernel.MaxLoop))
	default:
		n := rows * (s.H + s.KV)
		params := p.Params(uint32(n), uint32(s.T), uint32(s.H), uint32(s.KV), uint32(width), gpu.Param(sign),
			uint32(kernel.PairStride(q)), uint32(kernel.PairStride(k)), uint32(cos.Stride()))
		ropeOdd.Run(p, ropeCall(n, params, p.Tensors(q, k, cos, sin)))
	}
}

// turn gives each invocation so many heads.
func (u ropeUnits) turn(p *gpu.Pass, q, k, cos, sin gpu.Tensor, s attention.Shape, some int, sign float32) {
	each := s.D / 2 / u.size
	n := s.B * s.T * gpu.Groups(s.H+s.KV, some) * each
	params := p.Params(uint32(n), uint32(s.T), uint32(s.H), uint32(s.KV), uint32(each), gpu.Param(sign),
		uint32(q.Stride()/u.size), uint32(k.Stride()/u.size), uint32(cos.Stride()/u.size), uint32(some))
	u.Run(p, ropeCall(n, params, p.Tensors(q, k, cos, sin)))
}

// ropeCall is a call on q, k, cos and sin.
func ropeCall(n int, params []uint32, tensors []gpu.Tensor) gpu.Call {
	return gpu.Call{Groups: kernel.Groups1(n, 64), Params: params, Tensors: tensors,
		Work: kernel.Traffic(8, tensors[0].Elements()+tensors[1].Elements())}
}
