package matmul

import (
	"fmt"

	"steplm/gpu"
)

// operand is the rows of a tensor that a product takes, rows of them from row on; the
// zero operand is none. It points to the tensor, as copies are most of what recording
// a product costs.
type operand struct {
	t               *gpu.Tensor
	row, rows, cols int
}

func (o *operand) none() bool { return o.t == nil }

func (o *operand) check() error {
	t := o.t
	if t.None() {
		return fmt.Errorf("no tensor where (%d, %d) is needed", o.rows, o.cols)
	}
	if t.DType != gpu.F32 && t.DType != gpu.BF16 {
		return fmt.Errorf("tensor %s is %s where f32 or bf16 is needed", t.Name, t.DType)
	}
	if t.Cols() != o.cols {
		return fmt.Errorf("tensor %s has %d columns where %d are needed", t.Name, t.Cols(), o.cols)
	}
	if o.row < 0 || o.row+o.rows > t.Rows() {
		return fmt.Errorf("rows %d to %d of tensor %s, which has %d", o.row, o.row+o.rows, t.Name, t.Rows())
	}
	return nil
}

// most is the rows, from any row on, that fit a binding of limit bytes.
func (o *operand) most(limit int64) int {
	if o.t.Bytes() <= limit {
		return o.rows
	}
	return max(0, int(limit/o.rowBytes())-(o.step()-1))
}

func (o *operand) rowBytes() int64 { return o.t.Bytes() / int64(o.t.Rows()) }

// step is the rows between those at which a part may begin.
func (o *operand) step() int {
	n := 1
	for o.t.PartRows(int64(n)*o.rowBytes()) == 0 {
		n *= 2
	}
	return n
}

// block is the block of the operand that begins at (row, col) and goes on for
// rows, in the whole tensor or, where that is more than limit, in a part.
func (o *operand) block(limit int64, row, col, rows int) block {
	row += o.row
	if o.t.Bytes() <= limit {
		return block{o.t, row, col}
	}
	first := row / o.step() * o.step()
	part := o.t.Part(first, row-first+rows)
	return block{&part, row - first, col}
}

// block is a block of a tensor that is bound; the zero block is none.
type block struct {
	t        *gpu.Tensor
	row, col int
}

func (b *block) none() bool { return b.t == nil }

// cols is the columns of the whole tensor.
func (b *block) cols() int {
	if b.none() {
		return 0
	}
	return b.t.Cols()
}
