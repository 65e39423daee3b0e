package wgsl

import (
	"steplm/gpu"
	"steplm/wgsl/ref"
)

// AdamW is the numbers of one AdamW step.
type AdamW = ref.AdamW

var adamwStep = kernel("adamw_step", [3]int{64, 1, 1}, []gpu.Access{w, w, w, r, r}, func(a gpu.Args) {
	o := AdamW{LR: a.Float(1), Beta1: a.Float(2), Beta2: a.Float(3), Eps: a.Float(4), Decay: a.Float(5), Correction1: a.Float(6), Correction2: a.Float(7)}
	ref.AdamWStep(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4), a.Int(0), o)
})

// AdamWStep updates n weights and their moments m and v from grad times
// stats[StatScale]. It writes nothing when stats[StatNorm] is not finite.
func AdamWStep(p *gpu.Pass, weight, m, v, grad, stats gpu.Tensor, n int, o AdamW) {
	params := []uint32{uint32(n)}
	for _, f := range []float32{o.LR, o.Beta1, o.Beta2, o.Eps, o.Decay, o.Correction1, o.Correction2} {
		params = append(params, gpu.Param(f))
	}
	p.Run(gpu.Call{Kernel: adamwStep, Groups: groups1(n, 64), Params: params, Tensors: []gpu.Tensor{weight, m, v, grad, stats}, Work: traffic(28, n)})
}
