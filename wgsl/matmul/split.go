package matmul

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

// A product with few outputs and a long k, as adapters' gradients are, gives a device
// little to do side by side. So k is cut into slices that are summed apart and then
// added up in their order. How many follows from the shape alone: it changes bits.

// splitOutputs is how many outputs, over all slices, are enough to fill a device.
const splitOutputs = 1 << 18

// minSlice is the least k of a slice.
const minSlice = 128

// slicesOf is the number of slices of an (m, n) product over k. None is empty: where as many as that would round the k
// of a slice up so far that fewer have all of it, they are fewer.
func slicesOf(m, n, k int) int {
	most := max(1, min(splitOutputs/max(1, m*gpu.Padded(n)), k/minSlice))
	return max(1, gpu.Groups(k, gpu.Groups(k, most)))
}

// SplitSpec is the scratch that TNSplit needs for an (m, n) product over k:
// at most 1 MiB. No name: none.
func SplitSpec(m, n, k int) gpu.Spec {
	slices := slicesOf(m, n, k)
	if slices == 1 {
		return gpu.Spec{}
	}
	return gpu.Spec{Name: "slices", Class: gpu.Scratch, Shape: []int{slices * m, n}}
}

var sumSlices = library.Typed("sum_slices", [3]int{64, 1, 1}, []gpu.Access{gpu.Write, gpu.Read}, "GF",
	func(a gpu.Args) {
		ref.SumSlices(a.F(0), a.F(1), a.Int(1), a.Int(2) == 1)
	})

// TNSplit is TN for few outputs and a long k. scratch has at least the
// words of SplitSpec, of any type; whole tensors only.
func TNSplit(p *gpu.Pass, out, scratch, a, b gpu.Tensor, s Shape) {
	spec := SplitSpec(s.M, s.N, s.K)
	limit := p.Limits().Binding
	if spec.Name == "" || max(out.Bytes(), a.Bytes(), b.Bytes(), spec.Bytes()) > limit {
		TN(p, out, a, b, s)
		return
	}
	if scratch.None() || scratch.Words() < spec.Words() {
		p.Fail(fmt.Errorf("matmul tn into %s: scratch %s has %d words where %d are needed", out.Name, scratch.Name,
			scratch.Words(), spec.Words()))
		return
	}
	x, y := operands(transposed{a: true}, &a, &b, 0, 0, s.M, s.N, s.K)
	for _, o := range [...]*operand{{&out, 0, s.M, s.N}, &x, &y} {
		if err := o.check(); err != nil {
			p.Fail(fmt.Errorf("matmul tn into %s: %w", out.Name, err))
			return
		}
	}
	if s.Scale == 0 {
		s.Scale = 1
	}
	slices := slicesOf(s.M, s.N, s.K)
	partials := scratch.As(spec, 0)
	piece := piece{transposed: transposed{a: true}, m: s.M, n: s.N, k: s.K, scale: s.Scale, out: block{t: &partials},
		a: block{t: &a}, b: block{t: &b}, slices: slices}
	piece.run(p)
	accumulate := uint32(0)
	if s.Accumulate {
		accumulate = 1
	}
	pairs := s.M * kernel.PairStride(out)
	sumSlices.Run(p, gpu.Call{Groups: kernel.Groups1(pairs, 64),
		Params: p.Params(uint32(pairs), uint32(slices), accumulate), Tensors: p.Tensors(out, partials),
		Work: kernel.Traffic(4*(slices+1), 2*pairs)})
}
