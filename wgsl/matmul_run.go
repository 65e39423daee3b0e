package wgsl

import (
	"steplm/gpu"
)

// matmulPiece is a product, or a slice of one, that one kernel computes.
type matmulPiece struct {
	transpose                       string
	m, n, k, rank                   int
	scale                           float32
	accumulate                      bool
	out, a, b, residual, lowA, lowB block // the last three may be none
	slices                          int   // of k, into as many matrices of out; 0: not split
	edges                           bool  // take the kernel that minds edges, though there may be none
}

func (x matmulPiece) types() matmulTypes {
	return matmulTypes{x.out.t.DType, x.a.t.DType, x.b.t.DType}
}

// run records the piece in the variant that is chosen for its class.
func (x matmulPiece) run(p *gpu.Pass) {
	x.edges = minds(p.Limits())
	x.runTile(p, x.class(p.Limits()).choose(p, x.work()))
}

// minds reports whether a device takes kernels that mind edges where there are none: on
// CPUs what they cost is nothing against compiling twice as many.
func minds(l gpu.Limits) bool { return l.CPU }

// slice is the k of one slice: all, unless split.
func (x matmulPiece) slice() int { return gpu.Groups(x.k, max(1, x.slices)) }

// work is the operations of the piece.
func (x matmulPiece) work() float64 { return 2 * float64(x.m) * float64(x.n) * float64(x.k+x.rank) }

// variant is the kernel for the piece with a tile.
func (x matmulPiece) variant(t matmulTile) matmulVariant {
	bm, bn := t.block()
	step := max(t.Step, t.Slab)
	return matmulVariant{
		matmulTile: t, Transpose: x.transpose, Types: x.types(), Residual: !x.residual.none(), LowRank: x.rank > 0, Split: x.slices > 0,
		Aligned: !x.edges && x.m%bm == 0 && x.n%bn == 0 && x.slice()%step == 0 && x.k%x.slice() == 0 && x.rank%step == 0,
	}
}

func (x matmulPiece) runTile(p *gpu.Pass, t matmulTile) {
	bm, bn := t.block()
	params := make([]uint32, 0, matmulParams)
	accumulate := uint32(0)
	if x.accumulate {
		accumulate = 1
	}
	params = append(params, uint32(x.m), uint32(x.n), uint32(x.k), accumulate, gpu.Param(x.scale), uint32(x.slice()))
	for _, b := range [...]block{x.out, x.a, x.b} {
		three := b.params()
		params = append(params, three[:]...)
	}
	params = append(params, uint32(x.rank))
	for _, b := range [...]block{x.lowA, x.lowB} {
		three := b.params()
		params = append(params, three[:]...)
	}
	tensors := make([]gpu.Tensor, 0, 6)
	for _, b := range [...]block{x.out, x.a, x.b, x.residual, x.lowA, x.lowB} {
		if !b.none() {
			tensors = append(tensors, b.t)
		}
	}
	p.Run(gpu.Call{
		Kernel: x.variant(t).kernel(), Tensors: tensors, Params: params,
		Groups: [3]int{gpu.Groups(gpu.Padded(x.n), bn), gpu.Groups(x.m, bm), max(1, x.slices)},
		Work:   x.work(),
	})
}
