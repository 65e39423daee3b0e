package wgsl

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/ref"
)

var rope = typed("rope", [3]int{64, 1, 1}, []gpu.Access{w, r, r}, "PFF", func(a gpu.Args) {
	hostRope(a, 2*a.Int(3))
})

var ropeEights = typed("rope_eights", [3]int{64, 1, 1}, []gpu.Access{w, r, r}, "PFF", func(a gpu.Args) {
	hostRope(a, 16*a.Int(3))
})

func hostRope(a gpu.Args, d int) {
	t, heads := a.Int(1), a.Int(2)
	rows := len(a.F(0)) / (heads * d)
	if a.Float(4) > 0 {
		ref.RopeForward(a.F(0), a.F(1), a.F(2), rows, t, heads, d)
	} else {
		ref.RopeBackward(a.F(0), a.F(1), a.F(2), rows, t, heads, d)
	}
}

// RopeTables returns the cosines and sines (t, d/2) of the angles
// p theta^(-2i/d) for position p and pair i, which RopeForward reads.
func RopeTables(t, d int, theta float64) (cos, sin []float32) { return ref.RopeTables(t, d, theta) }

// RopeForward turns the heads, of d elements, of x (rows, heads d) in place by their
// positions, row modulo t; cos and sin (t, d/2) are F32.
func RopeForward(p *gpu.Pass, x, cos, sin gpu.Tensor, t, heads, d int) {
	runRope(p, x, cos, sin, t, heads, d, 1)
}

// RopeBackward turns a gradient of RopeForward's result into one of its input:
// the same rotation backwards.
func RopeBackward(p *gpu.Pass, dx, cos, sin gpu.Tensor, t, heads, d int) {
	runRope(p, dx, cos, sin, t, heads, d, -1)
}

func runRope(p *gpu.Pass, x, cos, sin gpu.Tensor, t, heads, d int, sign float32) {
	if d < 2 || d%2 != 0 {
		p.Fail(fmt.Errorf("rope: head size %d, rotary embedding needs an even one", d))
		return
	}
	if !alike(p, rope.name, x) || !shaped(p, rope.name, x, x.Rows(), heads*d) || !shaped(p, rope.name, cos, t, d/2) || !shaped(p, rope.name, sin, t, d/2) {
		return
	}
	width := d / 2
	if width%8 == 0 && heads <= maxWalk {
		some := 1
		if p.Limits().CPU {
			some = heads
		}
		runRopeEights(p, x, cos, sin, t, heads, d, some, sign)
		return
	}
	n := x.Rows() * heads // one invocation per head
	if width%2 == 0 {
		n *= width / 2 // or two pairs
	} else if width > maxLoop {
		p.Fail(fmt.Errorf("rope: head size %d, at most %d where half of it is odd", d, 2*maxLoop))
		return
	}
	params := []uint32{uint32(n), uint32(t), uint32(heads), uint32(width), gpu.Param(sign), uint32(pairStride(x)), uint32(cos.Stride())}
	rope.run(p, gpu.Call{Groups: groups1(n, 64), Params: params, Tensors: []gpu.Tensor{x, cos, sin}, Work: traffic(8, x.Elements())})
}

// runRopeEights gives each invocation so many heads.
func runRopeEights(p *gpu.Pass, x, cos, sin gpu.Tensor, t, heads, d, some int, sign float32) {
	each := d / 16
	n := x.Rows() * gpu.Groups(heads, some) * each
	params := []uint32{uint32(n), uint32(t), uint32(heads), uint32(each), gpu.Param(sign), uint32(eightStride(x)), uint32(some)}
	ropeEights.run(p, gpu.Call{Groups: groups1(n, 64), Params: params, Tensors: []gpu.Tensor{x, cos, sin}, Work: traffic(8, x.Elements())})
}
