package wgsl

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

var crossEntropyForward = onLogits("cross_entropy_forward", []gpu.Access{w, r, r}, func(a gpu.Args) {
	ref.CrossEntropyForward(a.F(1), a.F(0), a.U(2), a.Int(2), a.Int(3), a.Int(0))
})

var crossEntropy = onLogits("cross_entropy", []gpu.Access{w, w, r}, func(a gpu.Args) {
	ref.CrossEntropy(a.F(0), a.F(1), a.U(2), a.Int(2), a.Int(4), a.Int(0), a.Float(3))
})

// onLogits declares a kernel of logits, which are F32 whatever the storage of
// activations, losses and targets.
func onLogits(name string, access []gpu.Access, host func(gpu.Args)) *gpu.Kernel {
	k := library.Tree(name, access, host)
	k.Source = library.Text("softmax") + "\n" + k.Source
	k.DTypes = []gpu.DType{gpu.F32, gpu.F32, gpu.U32}
	return k
}

// CrossEntropyForward sets losses[at:at+rows] to the cross-entropies (in nats) of
// the first rows of logits (F32, v columns) with targets[at:at+rows]; 0 where the
// target is v or more, of which data.Ignored is the largest.
func CrossEntropyForward(p *gpu.Pass, logits, losses, targets gpu.Tensor, at, rows, v int) {
	if !fitsLogits(p, crossEntropyForward, 1, logits, losses, targets, at, rows, v) {
		return
	}
	p.Run(gpu.Call{Kernel: crossEntropyForward, Groups: [3]int{rows, 1, 1},
		Params:  p.Params(uint32(v), uint32(kernel.EightStride(logits)), uint32(at), uint32(rows)),
		Tensors: p.Tensors(losses, logits, targets), Work: kernel.Traffic(4, rows*v)})
}

// CrossEntropy is CrossEntropyForward, and turns logits into the gradient of
// scale times the sum of the losses.
func CrossEntropy(p *gpu.Pass, logits, losses, targets gpu.Tensor, at, rows, v int, scale float32) {
	if !fitsLogits(p, crossEntropy, 2, logits, losses, targets, at, rows, v) {
		return
	}
	p.Run(gpu.Call{Kernel: crossEntropy, Groups: [3]int{rows, 1, 1},
		Params:  p.Params(uint32(v), uint32(kernel.EightStride(logits)), uint32(at), gpu.Param(scale), uint32(rows)),
		Tensors: p.Tensors(logits, losses, targets), Work: kernel.Traffic(12, rows*v)})
}

// fitsLogits fails the pass when the tensors are smaller than the call says, or a
// workgroup cannot walk a row in each of k's loops.
func fitsLogits(p *gpu.Pass, k *gpu.Kernel, loops int, logits, losses, targets gpu.Tensor, at, rows, v int) bool {
	if !kernel.FitsWorkgroup(p, k.Name, "columns", v, 8*64, loops) || !kernel.Alike(p, k.Name, logits) {
		return false
	}
	if logits.Cols() != v || logits.Rows() < rows {
		p.Fail(fmt.Errorf("%s: logits are (%d, %d), %d rows of %d asked for", k.Name, logits.Rows(), logits.Cols(),
			rows, v))
		return false
	}
	if n := min(losses.Elements(), targets.Elements()); at+rows > n {
		p.Fail(fmt.Errorf("%s: rows %d to %d of %d losses and targets", k.Name, at, at+rows, n))
		return false
	}
	return true
}
