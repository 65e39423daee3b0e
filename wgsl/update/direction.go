package update

import (
	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/update/ref"
)

var direction = func() *gpu.Kernel {
	k := library.Declare("direction", [3]int{64, 1, 1}, []gpu.Access{w, w, w, r, r}, func(a gpu.Args) {
		ref.Direction(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4),
			ref.AdamW{Beta1: a.Float(1), Beta2: a.Float(2), Eps: a.Float(3)})
	})
	k.DTypes = []gpu.DType{gpu.F32, gpu.F32, gpu.F32, gpu.F32, gpu.F32}
	return k
}()

// Direction updates the moments m and v by grad times stats[StatScale], and sets out to
// m / (sqrt v + eps), all F32 of one shape. It writes nothing when stats[StatNorm] is not
// finite. Of o, only the betas and epsilon count.
func Direction(p *gpu.Pass, m, v, out, grad, stats gpu.Tensor, o AdamW) {
	if !kernel.Alike(p, direction.Name, m, v, out, grad) {
		return
	}
	kernel.EachFlat(p, func(n int, views []gpu.Tensor) {
		p.Run(gpu.Call{Kernel: direction, Groups: kernel.Groups1(n/8, 64),
			Params:  p.Params(uint32(n/8), gpu.Param(o.Beta1), gpu.Param(o.Beta2), gpu.Param(o.Eps)),
			Tensors: append(views, stats), Work: kernel.Traffic(24, n)})
	}, m, v, out, grad)
}
