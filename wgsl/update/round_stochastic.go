package update

import (
	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/update/ref"
)

var roundStochastic = library.Family(gpu.Kernel{
	Name: "round_stochastic", Entry: "round_stochastic",
	Source:    library.Text("random") + "\n" + library.Text("round_stochastic"),
	Workgroup: [3]int{64, 1, 1}, Access: []gpu.Access{w, r}, Host: func(a gpu.Args) {
		ref.RoundStochastic(a.U(0), a.F(1), a.Int(1), Draw{Key: uint32(a.Int(2)), Count: uint32(a.Int(3))})
	},
}, "PF", kernel.Storages[1:2])

// RoundStochastic sets out (BF16) to x (F32, of its shape), each element rounded up or down at random: up by
// the chance of its distance from the lower neighbour, so that on average nothing is lost, and what BF16 holds
// stays as it is. What is drawn follows from d and the element's place alone.
func RoundStochastic(p *gpu.Pass, out, x gpu.Tensor, d Draw) {
	if !kernel.Alike(p, roundStochastic.Name, out, x) {
		return
	}
	first := 0
	kernel.EachFlat(p, func(n int, views []gpu.Tensor) {
		roundStochastic.Run(p, gpu.Call{Groups: kernel.Groups1(n/8, 64),
			Params:  p.Params(uint32(n/8), uint32(first), d.Key, d.Count),
			Tensors: views, Work: kernel.Traffic(6, n)})
		first += n / 8
	}, out, x)
}
