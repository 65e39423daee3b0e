package update

import (
	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/update/ref"
)

var limitedFactors = library.Tree("limited_factors", []gpu.Access{w, w, r, r, r, r}, func(a gpu.Args) {
	ref.LimitedFactors(a.F(0), a.F(1), a.F(2)[:a.Int(0)], a.F(3)[:a.Int(0)], a.F(4)[:a.Int(1)], a.F(5),
		a.Int(3) != 0, a.Int(4) != 0, a.Float(5))
})

// LimitedFactors sets factors (as many as vectors, F32; one of all: 1) to what scales
// vectors, of which squares are the sums of squares, to an update: f c gain / l, where
// f = ||N|| / (c ||R|| + 1e-8) of the sums of squares of rows of N and R, row by row or of
// all, c is stats[StatScale], and l keeps the update's norm within 1.01 times norm (1; F32),
// which becomes the update's. The first update is not limited.
func LimitedFactors(p *gpu.Pass, factors, norm, directions, projected, squares, stats gpu.Tensor, all, first bool,
	gain float64) {
	name, rows, vectors := limitedFactors.Name, 0, 0
	if !kernel.Alike(p, name, directions, projected) || !kernel.Alike(p, name, squares) {
		return
	}
	rows, vectors = directions.Cols(), squares.Cols()
	words := [2]uint32{}
	if want := vectors; all || rows == want {
		if all {
			words[0], want = 1, 1
		}
		if !kernel.Shaped(p, name, factors, 1, want) {
			return
		}
	} else if !kernel.Shaped(p, name, directions, 1, vectors) {
		return
	}
	if first {
		words[1] = 1
	}
	if !kernel.FitsWorkgroup(p, name, "vectors", max(rows, factors.Words(), vectors), 64, 3) {
		return
	}
	p.Run(gpu.Call{Kernel: limitedFactors, Groups: [3]int{1, 1, 1},
		Params: p.Params(uint32(rows), uint32(vectors), uint32(factors.Words()), words[0], words[1],
			gpu.Param(float32(gain))),
		Tensors: p.Tensors(factors, norm, directions, projected, squares, stats), Work: kernel.Traffic(16, vectors)})
}
