package wgsl

import (
	"steplm/gpu"
	"steplm/wgsl/ref"
)

var swigluForward = kernel("swiglu_forward", [3]int{64, 1, 1}, []gpu.Access{w, r, r}, func(a gpu.Args) {
	n := a.Int(0)
	ref.SwiGLUForward(a.F(0)[:n], a.F(1), a.F(2))
})

var swigluBackward = kernel("swiglu_backward", [3]int{64, 1, 1}, []gpu.Access{w, w, r, r, r}, func(a gpu.Args) {
	n := a.Int(0)
	ref.SwiGLUBackward(a.F(0)[:n], a.F(1), a.F(2), a.F(3), a.F(4))
})

// SwiGLUForward sets n elements of out to silu(gate) * up.
func SwiGLUForward(p *gpu.Pass, out, gate, up gpu.Tensor, n int) {
	p.Run(gpu.Call{Kernel: swigluForward, Groups: groups1(n, 64), Params: []uint32{uint32(n)}, Tensors: []gpu.Tensor{out, gate, up}, Work: traffic(12, n)})
}

// SwiGLUBackward sets n elements of dgate and dup from dout, gate and up.
func SwiGLUBackward(p *gpu.Pass, dgate, dup, dout, gate, up gpu.Tensor, n int) {
	p.Run(gpu.Call{Kernel: swigluBackward, Groups: groups1(n, 64), Params: []uint32{uint32(n)}, Tensors: []gpu.Tensor{dgate, dup, dout, gate, up}, Work: traffic(20, n)})
}

// groups1 covers n elements with workgroups of size along x; the device splits
// what exceeds its limit per dimension.
func groups1(n, size int) [3]int { return [3]int{gpu.Groups(n, size), 1, 1} }
