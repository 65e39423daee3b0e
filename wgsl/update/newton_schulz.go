package update

import (
	"steplm/gpu"
	"steplm/wgsl"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/matmul"
	"steplm/wgsl/update/ref"
)

var inverseNorm = library.Tree("inverse_norm", []gpu.Access{w, r}, func(a gpu.Args) {
	ref.InverseNorm(a.F(0), a.F(1)[:a.Int(0)])
})

// The iteration's polynomial a X + (b A + c A A) X of A = X X^T (Keller Jordan's Muon
// 857d1ad): five times, it takes singular values from 0 to 1 to ones of about 0.7 to 1.2.
const (
	newtonSchulzSteps = 5
	newtonSchulzA     = ref.NewtonSchulzA
	newtonSchulzB     = ref.NewtonSchulzB
	newtonSchulzC     = ref.NewtonSchulzC
)

// NewtonSchulzRoom is the shapes of what NewtonSchulz computes with for an (m, n) matrix:
// another of those, two of the shorter side's square, the squares of m rows, and one number.
func NewtonSchulzRoom(m, n int) [5][]int {
	a := min(m, n)
	return [5][]int{{m, n}, {a, a}, {a, a}, {m}, {1}}
}

// NewtonSchulz makes the singular values of x (m, n; F32) about 1 and leaves its singular
// vectors, in sums of f32 throughout; room is tensors of NewtonSchulzRoom's shapes. It returns
// where the result is, x or the first of room.
func NewtonSchulz(p *gpu.Pass, x gpu.Tensor, room []gpu.Tensor) gpu.Tensor {
	y, gram, poly, squares, scale := room[0], room[1], room[2], room[3], room[4]
	RowSquares(p, squares, x)
	kernel.OneWorkgroup(p, inverseNorm, squares.Cols(), []uint32{uint32(squares.Cols())}, scale, squares)
	ScaleVectors(p, x, scale, ByTensor)
	m, n := x.Rows(), x.Cols()
	a := min(m, n)
	for range newtonSchulzSteps {
		if m > n {
			matmul.TN(p, gram, x, x, matmul.Shape{M: a, N: a, K: m})
		} else {
			matmul.NT(p, gram, x, x, matmul.Shape{M: a, N: a, K: n})
		}
		wgsl.Mix(p, poly, gram, gram, newtonSchulzB, 0)
		matmul.NN(p, poly, gram, gram, matmul.Shape{M: a, N: a, K: a, Scale: newtonSchulzC, Accumulate: true})
		wgsl.Mix(p, y, x, x, newtonSchulzA, 0)
		left, right := poly, x
		if m > n {
			left, right = x, poly
		}
		matmul.NN(p, y, left, right, matmul.Shape{M: m, N: n, K: a, Accumulate: true})
		x, y = y, x
	}
	return x
}
