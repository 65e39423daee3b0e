package wgsl

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

var headNormBackwardWeight = library.TypedWith("head_norm_backward_weight", [3]int{8, 8, 1},
	[]gpu.Access{w, r, r, r}, "FPPF", columnSlices, slicesBytes, func(a gpu.Args) {
		ref.HeadNormColumns(a.F(0), a.F(1), a.F(2), a.F(3), a.Int(3))
	})

var headNormSum = library.Typed("head_norm_sum", [3]int{64, 1, 1}, []gpu.Access{w, r}, "GF", func(a gpu.Args) {
	ref.HeadNormSum(a.F(0), a.F(1), a.Int(2) != 0)
})

// HeadNormUnit is what the size of a head that is normed must be a multiple of: a head is then a row without padding.
const HeadNormUnit = gpu.RowPadding

// HeadNormForward is RMSNormForward of every head of x (rows, H D) by itself, all with the same weight (D). rstd has
// rows H elements.
func HeadNormForward(p *gpu.Pass, out, rstd, x, weight gpu.Tensor, eps float32) {
	if heads, ok := headsOf(p, "head_norm_forward", weight, x, out); ok {
		RMSNormForward(p, heads[1], rstd, heads[0], weight, eps)
	}
}

// HeadNormBackward adds to dx (rows, H D) what dout (rows, H D) says of x.
func HeadNormBackward(p *gpu.Pass, dx, dout, x, weight, rstd gpu.Tensor) {
	if heads, ok := headsOf(p, "head_norm_backward", weight, x, dx, dout); ok {
		RMSNormBackward(p, heads[1], heads[2], heads[0], weight, rstd)
	}
}

// HeadNormBackwardWeight sets dweight (D) to what dout (rows, H D) says of weight, or adds it, by way of sums (H D;
// F32).
func HeadNormBackwardWeight(p *gpu.Pass, dweight, sums, dout, x, rstd gpu.Tensor, accumulate bool) {
	name := headNormBackwardWeight.Name
	heads, ok := headsOf(p, name, dweight, x, dout)
	if !ok || !kernel.Shaped(p, name, rstd, 1, heads[0].Rows()) || !kernel.Shaped(p, name, sums, 1, x.Cols()) ||
		!kernel.FitsWorkgroup(p, name, "rows", x.Rows(), 8, 1) {
		return
	}
	each, stride := uint32(kernel.EightStride(dweight)), kernel.EightStride(x)
	n := uint32(x.Cols() / dweight.Cols())
	headNormBackwardWeight.Run(p, gpu.Call{Groups: kernel.Groups1(stride, 8),
		Params:  p.Params(uint32(x.Rows()), uint32(stride), each, n),
		Tensors: p.Tensors(sums, dout, x, rstd), Work: kernel.Traffic(8, x.Elements())})
	add := uint32(0)
	if accumulate {
		add = 1
	}
	headNormSum.Run(p, gpu.Call{Groups: kernel.Groups1(int(each), 64), Params: p.Params(each, n, add),
		Tensors: p.Tensors(dweight, sums), Work: kernel.Traffic(4, sums.Elements())})
}

// headsOf are tensors of x's shape (rows, H D), it first, as (rows H, D), where weight has D elements.
func headsOf(p *gpu.Pass, name string, weight, x gpu.Tensor, others ...gpu.Tensor) (list []gpu.Tensor, ok bool) {
	if !kernel.Alike(p, name, x, others...) || !kernel.Alike(p, name, weight) {
		return nil, false
	}
	size := weight.Cols()
	if size%HeadNormUnit != 0 || x.Cols()%size != 0 {
		p.Fail(fmt.Errorf("%s: tensor %s has %d columns and the weight %d elements: these must be a multiple of %d "+
			"and divide the columns", name, x.Name, x.Cols(), size, HeadNormUnit))
		return nil, false
	}
	for _, t := range append([]gpu.Tensor{x}, others...) {
		s := t.Spec
		s.Shape = []int{x.Elements() / size, size}
		list = append(list, t.As(s, 0))
	}
	return list, true
}
