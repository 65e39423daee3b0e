package update

import (
	"math"

	"steplm/gpu"
	"steplm/wgsl"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/matmul"
	"steplm/wgsl/update/ref"
)

// The singular vectors of a matrix's shorter side, by randomized subspace iteration (Halko,
// Martinsson and Tropp 2011) that begins with those found before: some more rows than are
// asked for are multiplied by the matrix and its transpose and made orthogonal, a few times,
// and the small problem that is left is solved by one-sided Jacobi. All of it is on the
// device; how often each is done is fixed, so that nothing is read back.

const (
	singularMore   = 8 // rows besides those that are asked for, and a quarter of them
	singularPowers = 6 // multiplications by the matrix and its transpose
	jacobiSweeps   = 10
)

var subspaceStart = func() *gpu.Kernel {
	k := library.Declare("subspace_start", [3]int{64, 1, 1}, []gpu.Access{w, r}, func(a gpu.Args) {
		ref.SubspaceStart(a.F(0), a.F(1), a.Int(0), a.Int(1), a.Int(3), a.Int(4) != 0)
	})
	k.DTypes = []gpu.DType{gpu.F32, gpu.F32}
	return k
}()

var fillRows = library.Add(&gpu.Kernel{Name: "fill_rows",
	Source:    kernel.TreeText + "\n" + library.Text("random") + "\n" + library.Text("fill_rows"),
	Workgroup: [3]int{64, 1, 1}, Shared: 64 * 4, Access: []gpu.Access{w}, DTypes: []gpu.DType{gpu.F32},
	Host: func(a gpu.Args) {
		ref.FillRows(a.F(0), a.Int(0), Draw{Key: uint32(a.Int(3)), Count: uint32(a.Int(4))})
	}})

var orthogonalStep = library.Tree("orthogonal_step", []gpu.Access{w}, func(a gpu.Args) {
	ref.OrthogonalStep(a.F(0), a.Int(0), a.Int(2))
})

var unitRows = library.Tree("unit_rows", []gpu.Access{w}, func(a gpu.Args) { ref.UnitRows(a.F(0), a.Int(0)) })

var jacobiRound = library.Tree("jacobi_round", []gpu.Access{w, w}, func(a gpu.Args) {
	ref.JacobiRound(a.F(0), a.F(1), a.Int(0), a.Int(1), a.Int(2))
})

var basisKernel = library.Add(&gpu.Kernel{Name: "basis",
	Source: kernel.TreeText + "\n" + library.Text("basis"), Workgroup: [3]int{64, 1, 1}, Shared: 2 * 64 * 4,
	Access: []gpu.Access{w, r, r, r}, DTypes: []gpu.DType{gpu.F32, gpu.F32, gpu.F32, gpu.F32},
	Host: func(a gpu.Args) {
		if ref.FiniteNorm(a.F(3)) {
			ref.Basis(a.F(0), a.F(1), a.F(2), a.Int(0), a.Int(3), a.Int(4) != 0)
		}
	}})

// singularRows is how many vectors are iterated for so many of an (m, n) matrix.
func singularRows(rank, m, n int) int { return min(m, n, rank+max(singularMore, rank/4)) }

// SingularRoom is the shapes of what SingularBasis computes with: the vectors of the matrix's
// shorter and longer side, their squared singular values, and the matrix in f32.
func SingularRoom(rank, m, n int) [4][]int {
	l := singularRows(rank, m, n)
	return [4][]int{{l, min(m, n)}, {l, max(m, n)}, {l}, {m, n}}
}

// SingularBasis sets basis (F32) to the first singular vectors of g (m, n; F32 or BF16) on its
// shorter side: right ones, (rank, n), where m >= n, else left ones, (m, rank). Each is that of
// its singular value, the largest first, and has the sign that makes its largest entry positive.
// It begins with what basis holds, unless fresh, and with vectors of a draw. Nothing is written
// to basis when stats[StatNorm] is not finite. Room is tensors of SingularRoom's shapes.
func SingularBasis(p *gpu.Pass, basis, g, stats gpu.Tensor, room []gpu.Tensor, fresh bool, draw Draw) {
	m, n := g.Rows(), g.Cols()
	short, long, squares, wide := room[0], room[1], room[2], room[3]
	rank, turned := basis.Rows(), uint32(0)
	if m < n {
		rank, turned = basis.Cols(), 1
	}
	l, a, b := short.Rows(), min(m, n), max(m, n)
	if !kernel.FitsWorkgroup(p, basisKernel.Name, "columns", b, 64, 3) {
		return
	}
	if g.DType != gpu.F32 {
		wgsl.Widen(p, wide, g)
		g = wide
	}
	kept := uint32(rank)
	if fresh {
		kept = 0
	}
	p.Run(gpu.Call{Kernel: subspaceStart, Groups: kernel.Groups1(l*short.Stride(), 64),
		Tensors: p.Tensors(short, basis),
		Params:  p.Params(uint32(l), uint32(a), uint32(short.Stride()), kept, turned, uint32(basis.Stride())),
		Work:    kernel.Traffic(8, l*a)})
	orthonormal(p, short, draw)
	across := func() { // long = short seen from the other side
		if m < n {
			matmul.NN(p, long, short, g, matmul.Shape{M: l, N: b, K: a})
		} else {
			matmul.NT(p, long, short, g, matmul.Shape{M: l, N: b, K: a})
		}
	}
	for range singularPowers {
		across()
		unit(p, long)
		if m < n {
			matmul.NT(p, short, long, g, matmul.Shape{M: l, N: a, K: b})
		} else {
			matmul.NN(p, short, long, g, matmul.Shape{M: l, N: a, K: b})
		}
		orthonormal(p, short, draw)
	}
	across()
	jacobi(p, long, short)
	RowSquares(p, squares, long)
	unit(p, short)
	p.Run(gpu.Call{Kernel: basisKernel, Groups: [3]int{l, 1, 1}, Tensors: p.Tensors(basis, short, squares, stats),
		Params: p.Params(uint32(l), uint32(a), uint32(short.Stride()), uint32(rank), turned, uint32(basis.Stride())),
		Work:   kernel.Traffic(12, l*a)})
}

// SingularFLOPs is the operations of SingularBasis, a multiply-add counting 2: of its products, its
// Gram-Schmidt and, if every pair is turned, its Jacobi.
func SingularFLOPs(rank, m, n int) float64 {
	l, a, b := float64(singularRows(rank, m, n)), float64(min(m, n)), float64(max(m, n))
	products := (2*singularPowers + 1) * 2 * l * a * b
	schmidt := (singularPowers + 1) * 2 * l * l / 2 * 6 * a
	turns := jacobiSweeps * l * l / 2 * (12*b + 6*a)
	return products + schmidt + turns
}

// orthonormal makes the rows of x orthogonal, twice, for once leaves what rounding left, and
// of length 1. Rows of zeros become random ones.
func orthonormal(p *gpu.Pass, x gpu.Tensor, draw Draw) {
	p.Run(gpu.Call{Kernel: fillRows, Groups: [3]int{x.Rows(), 1, 1}, Tensors: p.Tensors(x),
		Params: p.Params(uint32(x.Rows()), uint32(x.Cols()), uint32(x.Stride()), draw.Key, draw.Count),
		Work:   kernel.Traffic(8, x.Elements())})
	for range 2 {
		unit(p, x)
		for row := range x.Rows() - 1 {
			n := x.Rows() - 1 - row
			p.Run(gpu.Call{Kernel: orthogonalStep, Groups: [3]int{n, 1, 1}, Tensors: p.Tensors(x),
				Params: p.Params(uint32(x.Rows()), uint32(x.Stride()/4), uint32(row)),
				Work:   kernel.Traffic(16, n*x.Cols())})
		}
	}
	unit(p, x)
}

func unit(p *gpu.Pass, x gpu.Tensor) {
	p.Run(gpu.Call{Kernel: unitRows, Groups: [3]int{x.Rows(), 1, 1}, Tensors: p.Tensors(x),
		Params: p.Params(uint32(x.Rows()), uint32(x.Stride()/4)), Work: kernel.Traffic(12, x.Elements())})
}

// jacobi turns rows of x until they are orthogonal, and those of y with them.
func jacobi(p *gpu.Pass, x, y gpu.Tensor) {
	rows := x.Rows()
	players := int(math.Ceil(float64(rows)/2)) * 2
	for range jacobiSweeps {
		for round := range players - 1 {
			p.Run(gpu.Call{Kernel: jacobiRound, Groups: [3]int{players / 2, 1, 1}, Tensors: p.Tensors(x, y),
				Params: p.Params(uint32(rows), uint32(players), uint32(round), uint32(x.Stride()/4),
					uint32(y.Stride()/4)), Work: kernel.Traffic(12, players*(x.Cols()+y.Cols())/2)})
		}
	}
}
