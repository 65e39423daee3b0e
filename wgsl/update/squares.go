package update

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/update/ref"
)

var squaresRows = library.TypedTree("squares_rows", []gpu.Access{w, r}, "FG", func(a gpu.Args) {
	x, rows := a.F(1), a.Int(0)
	ref.RowSquares(a.F(0), x, rows, len(x)/rows)
})

var squaresColumns = library.Typed("squares_columns", [3]int{64, 1, 1}, []gpu.Access{w, r}, "FG", func(a gpu.Args) {
	x, rows := a.F(1), a.Int(1)
	ref.ColumnSquares(a.F(0), x, rows, len(x)/rows)
})

var sumRows = func() *gpu.Kernel {
	k := library.Declare("sum_rows", [3]int{64, 1, 1}, []gpu.Access{w, r}, func(a gpu.Args) {
		ref.SumRows(a.F(0), a.F(1), a.Int(0))
	})
	k.DTypes = []gpu.DType{gpu.F32, gpu.F32}
	return k
}()

// RowSquares sets out (rows; F32) to the sums of squares of the rows of x (rows, C; F32 or
// BF16).
func RowSquares(p *gpu.Pass, out, x gpu.Tensor) {
	if !kernel.Alike(p, squaresRows.Name, x) || !kernel.Shaped(p, squaresRows.Name, out, 1, x.Rows()) ||
		!kernel.FitsWorkgroup(p, squaresRows.Name, "columns", kernel.EightStride(x), 64, 1) {
		return
	}
	step := x.PartRows(p.Limits().Binding) / 64 * 64 // so that parts of out begin where they can be bound
	if x.Bytes() <= p.Limits().Binding {
		step = x.Rows()
	}
	if step == 0 {
		p.Fail(fmt.Errorf("%s: the device binds %d bytes, too few for 64 rows of tensor %s", squaresRows.Name,
			p.Limits().Binding, x.Name))
		return
	}
	for first := 0; first < x.Rows(); first += step {
		n := min(step, x.Rows()-first)
		s := out.Spec
		s.Shape = []int{n}
		part := x.Part(first, n)
		squaresRows.Run(p, gpu.Call{Groups: [3]int{n, 1, 1}, Params: p.Params(uint32(n), uint32(kernel.EightStride(x))),
			Tensors: p.Tensors(out.As(s, first), part), Work: kernel.Traffic(4, part.Elements())})
	}
}

// ColumnChunks is the rows of partial sums that ColumnSquares needs for so many rows.
func ColumnChunks(rows int) int { return gpu.Groups(rows, ref.ColumnChunk) }

// ColumnSquares sets out (C; F32) to the sums of squares of the columns of x (rows, C; F32 or
// BF16), by way of partial sums (ColumnChunks(rows), C; F32).
func ColumnSquares(p *gpu.Pass, out, partials, x gpu.Tensor) {
	name := squaresColumns.Name
	if !kernel.Alike(p, name, x) || !kernel.Shaped(p, name, out, 1, x.Cols()) ||
		!kernel.Shaped(p, name, partials, ColumnChunks(x.Rows()), x.Cols()) ||
		!kernel.FitsWorkgroup(p, name, "rows", partials.Rows(), 1, 1) {
		return
	}
	step, stride := x.Rows(), kernel.EightStride(x)
	if x.Bytes() > p.Limits().Binding {
		// 8 rows of partial sums are 256 bytes or more.
		if step = x.PartRows(p.Limits().Binding) / 512 * 512; step == 0 {
			p.Fail(fmt.Errorf("%s: the device binds %d bytes, too few for 512 rows of tensor %s", name,
				p.Limits().Binding, x.Name))
			return
		}
	}
	for first := 0; first < x.Rows(); first += step {
		n := min(step, x.Rows()-first)
		part, sums := x.Part(first, n), partials.Part(first/ref.ColumnChunk, ColumnChunks(n))
		eights := sums.Rows() * stride
		squaresColumns.Run(p, gpu.Call{Groups: kernel.Groups1(eights, 64),
			Params:  p.Params(uint32(eights), uint32(n), uint32(stride)),
			Tensors: p.Tensors(sums, part), Work: kernel.Traffic(4, part.Elements())})
	}
	p.Run(gpu.Call{Kernel: sumRows, Groups: kernel.Groups1(stride, 64),
		Params:  p.Params(uint32(partials.Rows()), uint32(stride)),
		Tensors: p.Tensors(out, partials), Work: kernel.Traffic(4, partials.Elements())})
}
