package wgsl

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/ref"
)

// Words of the F32 tensor stats, which is what a step reads back.
const (
	StatLoss  = ref.StatLoss  // sum of losses since the caller cleared it
	StatNorm  = ref.StatNorm  // L2 norm of the gradients before clipping
	StatScale = ref.StatScale // what clipping multiplies gradients by
	// StatSquares is the sum of squared norms that ReleaseScale saw since the caller
	// cleared it.
	StatSquares = ref.StatSquares
	StatWords   = 8 // its length; the others are spare
)

// normPart is the number of elements whose squares one workgroup sums, as
// squared_norm.wgsl has it.
const normPart = ref.NormPart

var sumLosses = treeKernel("sum_losses", []gpu.Access{w, r}, func(a gpu.Args) {
	ref.SumLosses(a.F(0), a.F(1), a.Int(0))
})

var squaredNorm = typedTree("squared_norm", []gpu.Access{w, r}, "FG", func(a gpu.Args) {
	ref.SquaredNorm(a.F(0), a.F(1), a.Int(1))
})

var clipScale = treeKernel("clip_scale", []gpu.Access{w, r}, func(a gpu.Args) {
	ref.ClipScale(a.F(0), a.F(1), a.Int(0), a.Float(1))
})

var releaseScale = treeKernel("release_scale", []gpu.Access{w, r}, func(a gpu.Args) {
	ref.ReleaseScale(a.F(0), a.F(1), a.Int(0), a.Float(1))
})

var releaseNorm = kernel("release_norm", [3]int{1, 1, 1}, []gpu.Access{w}, func(a gpu.Args) {
	ref.ReleaseNorm(a.F(0))
})

// SumLosses adds the sum of n losses to stats[StatLoss].
func SumLosses(p *gpu.Pass, stats, losses gpu.Tensor, n int) {
	oneWorkgroup(p, sumLosses, n, []uint32{uint32(n)}, stats, losses)
}

// SquaredNormParts is the number of partial sums of a gradient, the same on every
// device.
func SquaredNormParts(grad gpu.Spec) int { return gpu.Groups(grad.Rows()*grad.Stride(), normPart) }

// SquaredNorm sets the elements of partials (F32) from at on to sums of squares of
// grad (F32 or BF16, any size) and returns how many: SquaredNormParts.
func SquaredNorm(p *gpu.Pass, partials, grad gpu.Tensor, at int) int {
	if !alike(p, squaredNorm.name, grad) || !alike(p, squaredNorm.name, partials) {
		return 0
	}
	parts := SquaredNormParts(grad.Spec)
	if at+parts > partials.Cols() {
		p.Fail(fmt.Errorf("%s: partial sums %d to %d of tensor %s, which has %d", squaredNorm.name, at, at+parts, partials.Name, partials.Cols()))
		return 0
	}
	total, x := grad.Rows()*grad.Stride(), floats(grad)
	most := max(normPart, int(p.Limits().Binding/4)/normPart*normPart)
	for first := 0; first < total; first += most {
		n := min(most, total-first)
		squaredNorm.run(p, gpu.Call{Groups: groups1(n, normPart), Params: []uint32{uint32(n / 8), uint32(at + first/normPart)},
			Tensors: []gpu.Tensor{partials, x.part(first, n)}, Work: traffic(4, n)})
	}
	return parts
}

// ClipScale sets stats[StatNorm] to the root of the sum of n partials, and
// stats[StatScale] to what brings a larger norm down to maxNorm: 1 if maxNorm is
// 0 or less, 0 if the norm is not finite.
func ClipScale(p *gpu.Pass, stats, partials gpu.Tensor, n int, maxNorm float32) {
	oneWorkgroup(p, clipScale, n, []uint32{uint32(n), gpu.Param(maxNorm)}, stats, partials)
}

// ReleaseScale is ClipScale for one of the parameters that are updated one by one,
// before the norm of the whole gradient is known: from n partials of its gradient
// alone. It adds the square of the norm to stats[StatSquares]. When the gradient, an
// earlier one or stats[StatLoss] is not finite, neither are StatNorm and StatSquares, so
// that nothing more is updated.
func ReleaseScale(p *gpu.Pass, stats, partials gpu.Tensor, n int, maxNorm float32) {
	oneWorkgroup(p, releaseScale, n, []uint32{uint32(n), gpu.Param(maxNorm)}, stats, partials)
}

// ReleaseNorm sets stats[StatNorm] to the root of stats[StatSquares]: the norm of all
// gradients, not finite if one was not.
func ReleaseNorm(p *gpu.Pass, stats gpu.Tensor) {
	p.Run(gpu.Call{Kernel: releaseNorm, Groups: [3]int{1, 1, 1}, Tensors: []gpu.Tensor{stats}})
}

// oneWorkgroup records a kernel whose single workgroup walks the first n elements of
// list.
func oneWorkgroup(p *gpu.Pass, k *gpu.Kernel, n int, params []uint32, stats, list gpu.Tensor) {
	if !fitsWorkgroup(p, k.Name, "elements", n, 64, 1) {
		return
	}
	if len(list.Shape) > 0 && n > list.Cols() {
		p.Fail(fmt.Errorf("%s: %d elements of tensor %s, which has %d", k.Name, n, list.Name, list.Cols()))
		return
	}
	p.Run(gpu.Call{Kernel: k, Groups: [3]int{1, 1, 1}, Params: params, Tensors: []gpu.Tensor{stats, list}, Work: traffic(4, n)})
}
