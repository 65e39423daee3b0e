package update

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/update/ref"
)

var scaleVectors = func() *gpu.Kernel {
	k := library.Declare("scale_vectors", [3]int{64, 1, 1}, []gpu.Access{w, r}, func(a gpu.Args) {
		ref.ScaleVectors(a.U(0), a.F(1), 8*a.Int(1), ref.By(a.Int(2)))
	})
	k.DTypes = []gpu.DType{gpu.F32, gpu.F32}
	return k
}()

// ScaleVectors multiplies x (rows, C; F32) by factors (F32; 0 or more), one or as many as by
// says; those of columns are zero in their padding.
func ScaleVectors(p *gpu.Pass, x, factors gpu.Tensor, by By) {
	if !kernel.Alike(p, scaleVectors.Name, x) {
		return
	}
	if need := map[By]int{ByTensor: 1, ByRow: x.Rows(), ByColumn: x.Cols()}[by]; len(factors.Shape) == 0 ||
		factors.Elements() != need {
		p.Fail(fmt.Errorf("%s: %d factors are needed for tensor %s (%d, %d), not those of tensor %s", scaleVectors.Name,
			need, x.Name, x.Rows(), x.Cols(), factors.Name))
		return
	}
	n := x.Rows() * kernel.EightStride(x)
	p.Run(gpu.Call{Kernel: scaleVectors, Groups: kernel.Groups1(n, 64),
		Params:  p.Params(uint32(n), uint32(kernel.EightStride(x)), uint32(by)),
		Tensors: p.Tensors(x, factors), Work: kernel.Traffic(8, 8*n)})
}
