package wgsl

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/ref"
)

var rmsnormForward = treeKernel("rmsnorm_forward", []gpu.Access{w, w, r, r}, func(a gpu.Args) {
	ref.RMSNormForward(a.F(0), a.F(1), a.F(2), a.F(3), a.Int(2), a.Int(0), a.Float(1))
})

var rmsnormBackward = treeKernel("rmsnorm_backward", []gpu.Access{w, r, r, r, r}, func(a gpu.Args) {
	ref.RMSNormBackward(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4), a.Int(1), a.Int(0))
})

var rmsnormBackwardWeight = func() *gpu.Kernel {
	k := kernel("rmsnorm_backward_weight", [3]int{16, 16, 1}, []gpu.Access{w, r, r, r}, func(a gpu.Args) {
		ref.RMSNormBackwardWeight(a.F(0), a.F(1), a.F(2), a.F(3), a.Int(0), a.Int(1))
	})
	k.Shared = 256 * 4
	return k
}()

// RMSNormForward sets out to the rows of x (rows, c) over their root mean square
// times weight (c), and rstd (rows) to the reciprocal root mean squares, for
// backward.
func RMSNormForward(p *gpu.Pass, out, rstd, x, weight gpu.Tensor, rows, c int, eps float32) {
	if !fitsWorkgroup(p, rmsnormForward, c) {
		return
	}
	p.Run(gpu.Call{Kernel: rmsnormForward, Groups: [3]int{rows, 1, 1}, Params: []uint32{uint32(c), gpu.Param(eps), uint32(rows)},
		Tensors: []gpu.Tensor{out, rstd, x, weight}, Work: traffic(12, rows*c)})
}

// RMSNormBackward adds to dx (rows, c) what dout (rows, c) says of x.
func RMSNormBackward(p *gpu.Pass, dx, dout, x, weight, rstd gpu.Tensor, rows, c int) {
	if !fitsWorkgroup(p, rmsnormBackward, c) {
		return
	}
	p.Run(gpu.Call{Kernel: rmsnormBackward, Groups: [3]int{rows, 1, 1}, Params: []uint32{uint32(c), uint32(rows)},
		Tensors: []gpu.Tensor{dx, dout, x, weight, rstd}, Work: traffic(24, rows*c)})
}

// RMSNormBackwardWeight adds to dweight (c) what dout (rows, c) says of weight.
func RMSNormBackwardWeight(p *gpu.Pass, dweight, dout, x, rstd gpu.Tensor, rows, c int) {
	if rows > 16*maxLoop {
		p.Fail(fmt.Errorf("rmsnorm_backward_weight: %d rows, at most %d", rows, 16*maxLoop))
		return
	}
	p.Run(gpu.Call{Kernel: rmsnormBackwardWeight, Groups: groups1(c, 16), Params: []uint32{uint32(rows), uint32(c)},
		Tensors: []gpu.Tensor{dweight, dout, x, rstd}, Work: traffic(8, rows*c)})
}
