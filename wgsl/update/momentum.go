package update

import (
	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/update/ref"
)

var momentum = library.Typed("momentum", [3]int{64, 1, 1}, []gpu.Access{w, r, r}, "FGF", func(a gpu.Args) {
	if stats := a.F(2); ref.FiniteNorm(stats) {
		ref.Momentum(a.F(0), a.F(0), a.F(1), stats, a.Float(1))
	}
})

var nesterov = library.Typed("nesterov", [3]int{64, 1, 1}, []gpu.Access{w, r, r, r}, "FFGF", func(a gpu.Args) {
	ref.Momentum(a.F(0), a.F(1), a.F(2), a.F(3), a.Float(1))
})

// Momentum makes m (F32) beta m + (1 - beta) g of a gradient g (F32 or BF16, of its shape)
// times stats[StatScale]. It writes nothing when stats[StatNorm] is not finite.
func Momentum(p *gpu.Pass, m, grad, stats gpu.Tensor, beta float32) {
	recordMomentum(p, momentum, beta, stats, m, grad)
}

// Nesterov sets out (F32) to beta m + (1 - beta) g: where the momentum m (F32), of which g
// (F32 or BF16) times stats[StatScale] is a part, would be after the same gradient again.
func Nesterov(p *gpu.Pass, out, m, grad, stats gpu.Tensor, beta float32) {
	recordMomentum(p, nesterov, beta, stats, out, m, grad)
}

func recordMomentum(p *gpu.Pass, f *kernel.Family, beta float32, stats gpu.Tensor, tensors ...gpu.Tensor) {
	if !kernel.Alike(p, f.Name, tensors[0], tensors[1:]...) {
		return
	}
	kernel.EachFlat(p, func(n int, views []gpu.Tensor) {
		f.Run(p, gpu.Call{Groups: kernel.Groups1(n/8, 64), Params: p.Params(uint32(n/8), gpu.Param(beta)),
			Tensors: append(views, stats), Work: kernel.Traffic(12, n)})
	}, tensors...)
}
