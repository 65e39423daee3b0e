package update

import (
	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/update/ref"
)

// Singular vectors of the small matrix that Gram-Schmidt leaves, by one-sided Jacobi.

const jacobiSweeps = 10

var triangleKernel = library.Tree("triangle", []gpu.Access{w, r}, func(a gpu.Args) {
	ref.Triangle(a.F(0), a.F(1), a.Int(0))
})

var jacobiBlocks = library.Add(&gpu.Kernel{Name: "jacobi_blocks", Source: library.Text("jacobi_blocks"),
	Workgroup: [3]int{128, 1, 1}, Shared: 128 * 4 * 4, Access: []gpu.Access{w}, DTypes: []gpu.DType{gpu.F32},
	Host: func(a gpu.Args) { ref.JacobiBlocks(a.F(0), a.Int(0), a.Int(2), a.Int(3)) }})

// triangle makes of x (n, n) a triangle whose diagonal is not zero, divided by the root of the sum of squares (n).
func triangle(p *gpu.Pass, x, squares gpu.Tensor) {
	p.Run(gpu.Call{Kernel: triangleKernel, Groups: [3]int{x.Rows(), 1, 1}, Tensors: p.Tensors(x, squares),
		Params: p.Params(uint32(x.Rows()), uint32(x.Stride())), Work: kernel.Traffic(8, x.Elements())})
}

// jacobi turns rows of x until they are orthogonal: they become its right singular vectors, each times its singular
// value.
func jacobi(p *gpu.Pass, x gpu.Tensor) {
	for range jacobiSweeps {
		for round := range jacobiBlockCount(x.Rows()) - 1 {
			jacobiRound(p, x, round)
		}
	}
}

// jacobiBlockCount is the blocks of so many rows: an even number.
func jacobiBlockCount(rows int) int { return 2 * gpu.Groups(rows, 2*ref.JacobiRows) }

func jacobiRound(p *gpu.Pass, x gpu.Tensor, round int) {
	blocks := jacobiBlockCount(x.Rows())
	p.Run(gpu.Call{Kernel: jacobiBlocks, Groups: [3]int{blocks / 2, 1, 1}, Tensors: p.Tensors(x),
		Params: p.Params(uint32(x.Rows()), uint32(x.Stride()/4), uint32(blocks), uint32(round)),
		Work:   float64(12 * ref.JacobiRows * x.Rows() * x.Cols())})
}
