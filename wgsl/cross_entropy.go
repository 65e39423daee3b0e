package wgsl

import (
	"steplm/gpu"
	"steplm/wgsl/ref"
)

var crossEntropyForward = treeKernel("cross_entropy_forward", []gpu.Access{w, r, r}, func(a gpu.Args) {
	ref.CrossEntropyForward(a.F(1), a.F(0), a.U(2), a.Int(1), a.Int(2), a.Int(0))
})

var crossEntropy = treeKernel("cross_entropy", []gpu.Access{w, w, r}, func(a gpu.Args) {
	ref.CrossEntropy(a.F(0), a.F(1), a.U(2), a.Int(1), a.Int(3), a.Int(0), a.Float(2))
})

// CrossEntropyForward sets losses[at:at+rows] to the cross-entropies (in nats) of
// logits (rows, v) with targets[at:at+rows]; 0 where the target is v or more, of
// which data.Ignored is the largest.
func CrossEntropyForward(p *gpu.Pass, logits, losses, targets gpu.Tensor, at, rows, v int) {
	if !fitsWorkgroup(p, crossEntropyForward, v) {
		return
	}
	p.Run(gpu.Call{Kernel: crossEntropyForward, Groups: [3]int{rows, 1, 1}, Params: []uint32{uint32(v), uint32(at), uint32(rows)},
		Tensors: []gpu.Tensor{losses, logits, targets}, Work: traffic(8, rows*v)})
}

// CrossEntropy is CrossEntropyForward, and turns logits into the gradient of
// scale times the sum of the losses.
func CrossEntropy(p *gpu.Pass, logits, losses, targets gpu.Tensor, at, rows, v int, scale float32) {
	if !fitsWorkgroup(p, crossEntropy, v) {
		return
	}
	p.Run(gpu.Call{Kernel: crossEntropy, Groups: [3]int{rows, 1, 1}, Params: []uint32{uint32(v), uint32(at), gpu.Param(scale), uint32(rows)},
		Tensors: []gpu.Tensor{logits, losses, targets}, Work: traffic(16, rows*v)})
}
