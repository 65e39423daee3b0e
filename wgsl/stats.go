package wgsl

import (
	"steplm/gpu"
	"steplm/wgsl/ref"
)

// Words of the F32 tensor stats, which is what a step reads back.
const (
	StatLoss  = ref.StatLoss  // sum of losses since the caller cleared it
	StatNorm  = ref.StatNorm  // L2 norm of all gradients before clipping
	StatScale = ref.StatScale // what clipping multiplies gradients by
	StatWords = 8             // its length; the others are spare
)

// normPart is the number of elements whose squares one workgroup sums, as
// squared_norm.wgsl has it.
const normPart = ref.NormPart

var sumLosses = treeKernel("sum_losses", []gpu.Access{w, r}, func(a gpu.Args) {
	ref.SumLosses(a.F(0), a.F(1), a.Int(0))
})

var squaredNorm = treeKernel("squared_norm", []gpu.Access{w, r}, func(a gpu.Args) {
	ref.SquaredNorm(a.F(0), a.F(1), a.Int(1), a.Int(0))
})

var clipScale = treeKernel("clip_scale", []gpu.Access{w, r}, func(a gpu.Args) {
	ref.ClipScale(a.F(0), a.F(1), a.Int(0), a.Float(1))
})

// SumLosses adds the sum of n losses to stats[StatLoss].
func SumLosses(p *gpu.Pass, stats, losses gpu.Tensor, n int) {
	oneWorkgroup(p, sumLosses, n, []uint32{uint32(n)}, stats, losses)
}

// SquaredNormParts is the number of partial sums of n elements.
func SquaredNormParts(n int) int { return gpu.Groups(n, normPart) }

// SquaredNorm sets the SquaredNormParts(n) elements of partials from at on to
// sums of squares of n elements of grad.
func SquaredNorm(p *gpu.Pass, partials, grad gpu.Tensor, at, n int) {
	p.Run(gpu.Call{Kernel: squaredNorm, Groups: groups1(n, normPart), Params: []uint32{uint32(n), uint32(at)},
		Tensors: []gpu.Tensor{partials, grad}, Work: traffic(4, n)})
}

// ClipScale sets stats[StatNorm] to the root of the sum of n partials, and
// stats[StatScale] to what brings a larger norm down to maxNorm: 1 if maxNorm is
// 0 or less, 0 if the norm is not finite.
func ClipScale(p *gpu.Pass, stats, partials gpu.Tensor, n int, maxNorm float32) {
	oneWorkgroup(p, clipScale, n, []uint32{uint32(n), gpu.Param(maxNorm)}, stats, partials)
}

// oneWorkgroup records a kernel whose single workgroup walks n elements.
func oneWorkgroup(p *gpu.Pass, k *gpu.Kernel, n int, params []uint32, tensors ...gpu.Tensor) {
	if fitsWorkgroup(p, k, n) {
		p.Run(gpu.Call{Kernel: k, Groups: [3]int{1, 1, 1}, Params: params, Tensors: tensors, Work: traffic(4, n)})
	}
}
