package kernel

import (
	"fmt"

	"steplm/gpu"
)

// Shaped fails the pass unless t is rows of so many columns; a vector is one row.
func Shaped(p *gpu.Pass, name string, t gpu.Tensor, rows, columns int) bool {
	if len(t.Shape) == 0 {
		p.Fail(fmt.Errorf("%s: no tensor where (%d, %d) is needed", name, rows, columns))
		return false
	}
	if t.Rows() != rows || t.Cols() != columns {
		p.Fail(fmt.Errorf("%s: tensor %s is (%d, %d) where (%d, %d) is needed", name, t.Name, t.Rows(), t.Cols(), rows,
			columns))
		return false
	}
	return true
}

// Alike fails the pass unless the tensors have as many rows and columns as the
// first.
func Alike(p *gpu.Pass, name string, first gpu.Tensor, others ...gpu.Tensor) bool {
	if len(first.Shape) == 0 {
		p.Fail(fmt.Errorf("%s: no tensor", name))
		return false
	}
	for _, t := range others {
		if !Shaped(p, name, t, first.Rows(), first.Cols()) {
			return false
		}
	}
	return true
}

// EachRows calls do with t, or where the device does not bind as much at once with
// parts of its rows, of which the first is row first.
func EachRows(p *gpu.Pass, name string, t gpu.Tensor, do func(first int, part gpu.Tensor)) {
	limit := p.Limits().Binding
	if t.Bytes() <= limit {
		do(0, t)
		return
	}
	most := t.PartRows(limit)
	if most == 0 {
		p.Fail(fmt.Errorf("%s: the device binds %d bytes, too few for rows of tensor %s (%d bytes)", name, limit,
			t.Name, t.Bytes()/int64(t.Rows())))
		return
	}
	for first := 0; first < t.Rows(); first += most {
		do(first, t.Part(first, min(most, t.Rows()-first)))
	}
}

// EachFlat calls do with views of F32 and BF16 tensors of one shape: n elements
// each of their storage, padding included, as many as the device binds.
func EachFlat(p *gpu.Pass, do func(n int, views []gpu.Tensor), tensors ...gpu.Tensor) {
	const step = 128 // elements: views begin at multiples of 256 bytes
	most := max(step, int(p.Limits().Binding/4)/step*step)
	total := tensors[0].Rows() * tensors[0].Stride()
	for at := 0; at < total; at += most {
		n := min(most, total-at)
		views, shape := p.Tensors(tensors...), []int{n}
		for i := range views {
			t := &views[i]
			s := t.Spec
			s.Shape = shape
			word := at
			if t.DType == gpu.BF16 {
				word = at / 2
			}
			*t = t.As(s, word)
		}
		do(n, views)
	}
}

// Flat records a kernel of n / 8 eights, its first param, over whole tensors of one
// shape; bytes is what it moves for each element.
func (f *Family) Flat(p *gpu.Pass, bytes int, params []uint32, first gpu.Tensor, others ...gpu.Tensor) {
	if !Alike(p, f.Name, first, others...) {
		return
	}
	EachFlat(p, func(n int, views []gpu.Tensor) {
		f.Run(p, gpu.Call{Groups: Groups1(n/8, 64), Params: append(p.Params(uint32(n/8)), params...), Tensors: views,
			Work: Traffic(bytes, n)})
	}, append([]gpu.Tensor{first}, others...)...)
}

// Groups1 covers n elements with workgroups of size along x; the device splits
// what exceeds its limit per dimension.
func Groups1(n, size int) [3]int { return [3]int{gpu.Groups(n, size), 1, 1} }
