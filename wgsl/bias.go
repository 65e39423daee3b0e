package wgsl

import (
	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

var biasForward = library.Typed("bias_forward", [3]int{64, 1, 1}, []gpu.Access{w, r}, "PP", func(a gpu.Args) {
	ref.BiasForward(a.F(0), a.F(1))
})

var biasBackward = library.TypedWith("bias_backward", [3]int{8, 8, 1}, []gpu.Access{w, r}, "GP",
	columnSlices, slicesBytes, func(a gpu.Args) {
		ref.BiasBackward(a.F(0), a.F(1), a.Int(3) != 0)
	})

// BiasForward adds bias (C) to every row of out (rows, C).
func BiasForward(p *gpu.Pass, out, bias gpu.Tensor) {
	if !kernel.Alike(p, biasForward.Name, out) || !kernel.Shaped(p, biasForward.Name, bias, 1, out.Cols()) {
		return
	}
	stride := kernel.EightStride(out)
	kernel.EachRows(p, biasForward.Name, out, func(_ int, part gpu.Tensor) {
		n := part.Rows() * stride
		biasForward.Run(p, gpu.Call{Groups: kernel.Groups1(n, 64), Params: p.Params(uint32(n), uint32(stride)),
			Tensors: p.Tensors(part, bias), Work: kernel.Traffic(8, part.Elements())})
	})
}

// BiasBackward sets dbias (C) to the column sums of dout (rows, C), or adds them.
func BiasBackward(p *gpu.Pass, dbias, dout gpu.Tensor, accumulate bool) {
	name := biasBackward.Name
	if !kernel.Alike(p, name, dout) || !kernel.Shaped(p, name, dbias, 1, dout.Cols()) ||
		!kernel.FitsWorkgroup(p, name, "rows", dout.Rows(), 8, 1) {
		return
	}
	stride := kernel.EightStride(dout)
	kernel.EachRows(p, name, dout, func(first int, part gpu.Tensor) {
		add := uint32(0)
		if accumulate || first > 0 {
			add = 1
		}
		biasBackward.Run(p, gpu.Call{Groups: kernel.Groups1(stride, 8),
			Params:  p.Params(uint32(part.Rows()), uint32(part.Cols()), uint32(stride), add),
			Tensors: p.Tensors(dbias, part), Work: kernel.Traffic(4, part.Elements())})
	})
}
