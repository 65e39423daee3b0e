package wgsl

import (
	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

var rmsnormForward = library.TypedTree("rmsnorm_forward", []gpu.Access{w, w, r, r}, "PFPP", func(a gpu.Args) {
	rows, c := len(a.F(1)), a.Int(0)
	ref.RMSNormForward(a.F(0), a.F(1), a.F(2), a.F(3), rows, c, a.Float(2))
})

var rmsnormBackward = library.TypedTree("rmsnorm_backward", []gpu.Access{w, r, r, r, r}, "PPPPF", func(a gpu.Args) {
	rows, c := len(a.F(4)), a.Int(0)
	ref.RMSNormBackward(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4), rows, c)
})

// The same with a row per invocation.

var rmsnormForwardRows = library.Typed("rmsnorm_forward_rows", [3]int{8, 1, 1}, []gpu.Access{w, w, r, r}, "PFPP",
	func(a gpu.Args) {
		ref.RMSNormForward(a.F(0), a.F(1), a.F(2), a.F(3), a.Int(3), a.Int(0), a.Float(2))
	})

var rmsnormBackwardRows = library.Typed("rmsnorm_backward_rows", [3]int{8, 1, 1}, []gpu.Access{w, r, r, r, r}, "PPPPF",
	func(a gpu.Args) {
		ref.RMSNormBackward(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4), a.Int(2), a.Int(0))
	})

var rmsnormBackwardWeight = library.TypedWith("rmsnorm_backward_weight", [3]int{8, 8, 1}, []gpu.Access{w, r, r, r},
	"GPPF", columnSlices, slicesBytes, func(a gpu.Args) {
		rows, c, accumulate := a.Int(0), a.Int(1), a.Int(3) != 0
		ref.RMSNormBackwardWeight(a.F(0), a.F(1), a.F(2), a.F(3), rows, c, accumulate)
	})

// RMSNormForward sets out to the rows of x (rows, C) over their root mean square
// times weight (C), and rstd (rows, F32) to the reciprocal root mean squares, for
// backward.
func RMSNormForward(p *gpu.Pass, out, rstd, x, weight gpu.Tensor, eps float32) {
	recordRMSNormForward(p, rowEach(p, x), out, rstd, x, weight, eps)
}

// RMSNormBackward adds to dx (rows, C) what dout (rows, C) says of x.
func RMSNormBackward(p *gpu.Pass, dx, dout, x, weight, rstd gpu.Tensor) {
	recordRMSNormBackward(p, rowEach(p, x), dx, dout, x, weight, rstd)
}

// rowEach says whether an invocation rather than a workgroup takes a row: on CPUs, if it
// can walk it twice. The sums are other bits.
func rowEach(p *gpu.Pass, x gpu.Tensor) bool {
	return p.Limits().CPU && len(x.Shape) > 0 && kernel.EightStride(x) <= kernel.MaxWalk/2
}

func recordRMSNormForward(p *gpu.Pass, rowEach bool, out, rstd, x, weight gpu.Tensor, eps float32) {
	if !normed(p, rmsnormForward.Name, x, out) || !kernel.Shaped(p, rmsnormForward.Name, rstd, 1, x.Rows()) ||
		!kernel.Shaped(p, rmsnormForward.Name, weight, 1, x.Cols()) {
		return
	}
	f, call := rmsnormForward, gpu.Call{Groups: [3]int{x.Rows(), 1, 1},
		Params:  p.Params(uint32(x.Cols()), uint32(kernel.PairStride(x)), gpu.Param(eps)),
		Tensors: p.Tensors(out, rstd, x, weight), Work: kernel.Traffic(12, x.Elements())}
	if rowEach {
		f, call.Groups, call.Params[1] = rmsnormForwardRows, kernel.Groups1(x.Rows(), 8), uint32(kernel.EightStride(x))
		call.Params = append(call.Params, uint32(x.Rows()))
	}
	f.Run(p, call)
}

func recordRMSNormBackward(p *gpu.Pass, rowEach bool, dx, dout, x, weight, rstd gpu.Tensor) {
	if !normed(p, rmsnormBackward.Name, x, dx, dout) || !kernel.Shaped(p, rmsnormBackward.Name, rstd, 1, x.Rows()) ||
		!kernel.Shaped(p, rmsnormBackward.Name, weight, 1, x.Cols()) {
		return
	}
	f, call := rmsnormBackward, gpu.Call{Groups: [3]int{x.Rows(), 1, 1},
		Params:  p.Params(uint32(x.Cols()), uint32(kernel.PairStride(x))),
		Tensors: p.Tensors(dx, dout, x, weight, rstd), Work: kernel.Traffic(24, x.Elements())}
	if rowEach {
		f, call.Groups, call.Params[1] = rmsnormBackwardRows, kernel.Groups1(x.Rows(), 8), uint32(kernel.EightStride(x))
		call.Params = append(call.Params, uint32(x.Rows()))
	}
	f.Run(p, call)
}

// RMSNormBackwardWeight sets dweight (C) to what dout (rows, C) says of weight, or
// adds it.
func RMSNormBackwardWeight(p *gpu.Pass, dweight, dout, x, rstd gpu.Tensor, accumulate bool) {
	name := rmsnormBackwardWeight.Name
	if !kernel.Alike(p, name, x, dout) || !kernel.Shaped(p, name, rstd, 1, x.Rows()) ||
		!kernel.Shaped(p, name, dweight, 1, x.Cols()) {
		return
	}
	rows, stride := x.Rows(), kernel.EightStride(x)
	if !kernel.FitsWorkgroup(p, name, "rows", rows, 8, 1) {
		return
	}
	add := uint32(0)
	if accumulate {
		add = 1
	}
	rmsnormBackwardWeight.Run(p, gpu.Call{Groups: kernel.Groups1(stride, 8),
		Params:  p.Params(uint32(rows), uint32(x.Cols()), uint32(stride), add),
		Tensors: p.Tensors(dweight, dout, x, rstd), Work: kernel.Traffic(8, x.Elements())})
}

// normed fails the pass when tensors are not of x's shape, or a workgroup cannot
// walk its rows twice.
func normed(p *gpu.Pass, name string, x gpu.Tensor, others ...gpu.Tensor) bool {
	return kernel.Alike(p, name, x, others...) && kernel.FitsWorkgroup(p, name, "pairs of columns",
		kernel.PairStride(x), 64, 2)
}
