package update

import (
	"steplm/gpu"
	"steplm/wgsl"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/matmul"
	"steplm/wgsl/update/ref"
)

// The singular vectors of a matrix's shorter side, by randomized subspace iteration (Halko,
// Martinsson and Tropp 2011) that begins with those found before: some more rows than are
// asked for are multiplied by the matrix and its transpose and made orthogonal, a few times.
// Then these, seen from the other side, are a triangle times rows that are orthonormal there,
// and the left singular vectors of the triangle turn them to what is wanted: one-sided Jacobi
// finds them on its transpose, for there, unlike on the triangle, it takes few sweeps (Drmac
// and Veselic 2008). All of it is on the device; how often each is done is fixed, so that
// nothing is read back.

const (
	singularMore   = 8 // rows besides those that are asked for, and a quarter of them
	singularPowers = 6 // multiplications by the matrix and its transpose
)

var subspaceStart = func() *gpu.Kernel {
	k := library.Declare("subspace_start", [3]int{64, 1, 1}, []gpu.Access{w, r}, func(a gpu.Args) {
		ref.SubspaceStart(a.F(0), a.F(1), a.Int(0), a.Int(1), a.Int(3), a.Int(4) != 0)
	})
	k.DTypes = []gpu.DType{gpu.F32, gpu.F32}
	return k
}()

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
// shorter and longer side, others of the shorter one, the triangle between them, their squared
// singular values, and the matrix in f32.
func SingularRoom(rank, m, n int) [6][]int {
	l := singularRows(rank, m, n)
	return [6][]int{{l, min(m, n)}, {l, max(m, n)}, {l, min(m, n)}, {l, l}, {l}, {m, n}}
}

// SingularBasis sets basis (F32) to the first singular vectors of g (m, n; F32 or BF16) on its
// shorter side: right ones, (rank, n), where m >= n, else left ones, (m, rank). Each is that of
// its singular value, the largest first, and has the sign that makes its largest entry positive.
// It begins with what basis holds, unless fresh, and with vectors of a draw. Nothing is written
// to basis when stats[StatNorm] is not finite. Room is tensors of SingularRoom's shapes.
func SingularBasis(p *gpu.Pass, basis, g, stats gpu.Tensor, room []gpu.Tensor, fresh bool, draw Draw) {
	m, n := g.Rows(), g.Cols()
	short, long, product, small, squares, wide := room[0], room[1], room[2], room[3], room[4], room[5]
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
	across := func() { // long = short seen from the other side
		if m < n {
			matmul.NN(p, long, short, g, matmul.Shape{M: l, N: b, K: a})
		} else {
			matmul.NT(p, long, short, g, matmul.Shape{M: l, N: b, K: a})
		}
	}
	back := func(out gpu.Tensor) { // out = long seen from this side
		if m < n {
			matmul.NT(p, out, long, g, matmul.Shape{M: l, N: a, K: b})
		} else {
			matmul.NN(p, out, long, g, matmul.Shape{M: l, N: a, K: b})
		}
	}
	filled(p, short, draw)
	for range singularPowers {
		across()
		unit(p, long)
		back(short)
		orthonormal(p, short, draw)
	}
	across()
	orthonormal(p, long, draw)
	back(product)
	matmul.NT(p, small, product, short, matmul.Shape{M: l, N: l, K: a})
	RowSquares(p, squares, product)
	triangle(p, small, squares)
	jacobi(p, small)
	RowSquares(p, squares, small)
	unit(p, small)
	matmul.NN(p, product, small, short, matmul.Shape{M: l, N: a, K: l})
	unit(p, product)
	p.Run(gpu.Call{Kernel: basisKernel, Groups: [3]int{l, 1, 1}, Tensors: p.Tensors(basis, product, squares, stats),
		Params: p.Params(uint32(l), uint32(a), uint32(product.Stride()), uint32(rank), turned,
			uint32(basis.Stride())), Work: kernel.Traffic(12, l*a)})
}

// SingularFLOPs is the operations of SingularBasis, a multiply-add counting 2: of its products, its
// Gram-Schmidt and, if every pair is turned, its Jacobi.
func SingularFLOPs(rank, m, n int) float64 {
	l, a, b := float64(singularRows(rank, m, n)), float64(min(m, n)), float64(max(m, n))
	products := (2*singularPowers+2)*2*l*a*b + 2*2*l*l*a
	schmidt := 2 * l * l / 2 * 4 * (singularPowers*a + b)
	turns := jacobiSweeps * l * l / 2 * 12 * l
	return products + schmidt + turns
}
