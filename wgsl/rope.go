package wgsl

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/ref"
)

var rope = kernel("rope", [3]int{64, 1, 1}, []gpu.Access{w, r, r}, func(a gpu.Args) {
	heads, d := a.Int(2), 2*a.Int(3)
	rows := a.Int(0) * 2 / (heads * d)
	if a.Float(4) > 0 {
		ref.RopeForward(a.F(0), a.F(1), a.F(2), rows, a.Int(1), heads, d)
	} else {
		ref.RopeBackward(a.F(0), a.F(1), a.F(2), rows, a.Int(1), heads, d)
	}
})

// RopeTables returns the cosines and sines (t, d/2) of the angles
// p theta^(-2i/d) for position p and pair i, which RopeForward reads.
func RopeTables(t, d int, theta float64) (cos, sin []float32) { return ref.RopeTables(t, d, theta) }

// RopeForward turns the heads of x (rows, heads, d) in place by their positions,
// row modulo t.
func RopeForward(p *gpu.Pass, x, cos, sin gpu.Tensor, rows, t, heads, d int) {
	runRope(p, x, cos, sin, rows, t, heads, d, 1)
}

// RopeBackward turns a gradient of RopeForward's result into one of its input:
// the same rotation backwards.
func RopeBackward(p *gpu.Pass, dx, cos, sin gpu.Tensor, rows, t, heads, d int) {
	runRope(p, dx, cos, sin, rows, t, heads, d, -1)
}

func runRope(p *gpu.Pass, x, cos, sin gpu.Tensor, rows, t, heads, d int, sign float32) {
	if d < 2 || d%2 != 0 {
		p.Fail(fmt.Errorf("rope: head size %d, rotary embedding needs an even one", d))
		return
	}
	pairs := rows * heads * d / 2
	p.Run(gpu.Call{Kernel: rope, Groups: groups1(pairs, 64),
		Params:  []uint32{uint32(pairs), uint32(t), uint32(heads), uint32(d / 2), gpu.Param(sign)},
		Tensors: []gpu.Tensor{x, cos, sin}, Work: traffic(16, pairs)})
}
