package update

import (
	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/update/ref"
)

var rmsFactors = library.Declare("rms_factors", [3]int{64, 1, 1}, []gpu.Access{w, r}, func(a gpu.Args) {
	ref.RMSFactors(a.F(0), a.F(1), a.Float(1), a.Int(2) != 0)
})

// RMSFactors turns the sums of squares (n; F32) of vectors of count elements into what
// brings each to a root mean square of 1, as SCALE does: c / max(c rms, 1e-8), where c is
// stats[StatScale] if the vectors are a gradient's, else 1.
func RMSFactors(p *gpu.Pass, factors, stats gpu.Tensor, count int, gradient bool) {
	if !kernel.Alike(p, rmsFactors.Name, factors) {
		return
	}
	n, clip := factors.Cols(), uint32(0)
	if gradient {
		clip = 1
	}
	p.Run(gpu.Call{Kernel: rmsFactors, Groups: kernel.Groups1(n, 64),
		Params:  p.Params(uint32(n), gpu.Param(float32(count)), clip),
		Tensors: p.Tensors(factors, stats), Work: kernel.Traffic(8, n)})
}
