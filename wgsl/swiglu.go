package wgsl

import (
	"steplm/gpu"
	"steplm/wgsl/ref"
)

var swigluForward = library.Typed("swiglu_forward", [3]int{64, 1, 1}, []gpu.Access{w, r, r}, "PPP", func(a gpu.Args) {
	ref.SwiGLUForward(a.F(0), a.F(1), a.F(2))
})

var swigluBackward = library.Typed("swiglu_backward", [3]int{64, 1, 1}, []gpu.Access{w, w, r, r, r}, "PPPPP",
	func(a gpu.Args) {
		ref.SwiGLUBackward(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4))
	})

// SwiGLUForward sets out to silu(gate) * up, all of one shape.
func SwiGLUForward(p *gpu.Pass, out, gate, up gpu.Tensor) {
	swigluForward.Flat(p, 12, nil, out, gate, up)
}

// SwiGLUBackward sets dgate and dup from dout, gate and up, all of one shape.
func SwiGLUBackward(p *gpu.Pass, dgate, dup, dout, gate, up gpu.Tensor) {
	swigluBackward.Flat(p, 20, nil, dgate, dup, dout, gate, up)
}
