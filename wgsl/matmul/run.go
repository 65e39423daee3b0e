package matmul

import "steplm/gpu"

// piece is a product, or a slice of one, that one kernel computes.
type piece struct {
	transposed
	m, n, k, second                       int // second: k of the second product
	scale                                 float32
	accumulate                            bool
	out, a, b, residual, secondA, secondB block // the last three may be none
	slices                                int   // of k, into as many matrices of out; 0: not split
	lanes                                 bool  // which share an output
	edges                                 bool  // take the kernel that minds edges, though there may be none
}

func (x *piece) types() dtypes {
	return dtypes{x.out.t.DType, x.a.t.DType, x.b.t.DType}
}

// run records the piece in the variant that is chosen for its class.
func (x *piece) run(p *gpu.Pass) {
	if x.lanes {
		x.runLanes(p, x.lanesClass(p.Limits()).choose(p, x.work()))
		return
	}
	x.edges = minds(p.Limits())
	x.runTile(p, x.class(p.Limits()).choose(p, x.work()))
}

// minds reports whether a device takes kernels that mind edges where there are none: on
// CPUs what they cost is nothing against compiling twice as many.
func minds(l gpu.Limits) bool { return l.CPU }

// slice is the k of one slice: all, unless split.
func (x *piece) slice() int { return gpu.Groups(x.k, max(1, x.slices)) }

// work is the operations of the piece.
func (x *piece) work() float64 {
	return 2 * float64(x.m) * float64(x.n) * float64(x.k+x.second)
}

// variant is the kernel for the piece with a tile.
func (x *piece) variant(t tile) variant {
	bm, bn := t.block()
	step := max(t.Step, t.Slab)
	return variant{
		tile: t, Transpose: x.transposed.String(), Types: x.types(), Residual: !x.residual.none(), Second: x.second > 0,
		Split: x.slices > 0,
		Aligned: !x.edges && x.m%bm == 0 && x.n%bn == 0 && x.slice()%step == 0 && x.k%x.slice() == 0 &&
			x.second%step == 0,
	}
}

func (x *piece) runTile(p *gpu.Pass, t tile) {
	bm, bn := t.block()
	var list [6]gpu.Tensor
	tensors := list[:0]
	for _, b := range [...]*block{&x.out, &x.a, &x.b, &x.residual, &x.secondA, &x.secondB} {
		if !b.none() {
			tensors = append(tensors, *b.t)
		}
	}
	p.Run(gpu.Call{
		Kernel: x.variant(t).kernel(), Tensors: p.Tensors(tensors...),
		Params: x.params(p),
		Groups: [3]int{gpu.Groups(gpu.Padded(x.n), bn), gpu.Groups(x.m, bm), max(1, x.slices)},
		Work:   x.work(),
	})
}

// params are a kernel's, as its text lists them after origin.
func (x *piece) params(p *gpu.Pass) []uint32 {
	accumulate := uint32(0)
	if x.accumulate {
		accumulate = 1
	}
	return p.Params(uint32(x.m), uint32(x.n), uint32(x.k), accumulate, gpu.Param(x.scale), uint32(x.slice()),
		uint32(x.out.row), uint32(x.out.col), uint32(x.out.cols()), uint32(x.a.row), uint32(x.a.col),
		uint32(x.a.cols()), uint32(x.b.row), uint32(x.b.col), uint32(x.b.cols()),
		uint32(x.second), uint32(x.secondA.row), uint32(x.secondA.col), uint32(x.secondA.cols()),
		uint32(x.secondB.row), uint32(x.secondB.col), uint32(x.secondB.cols()))
}
