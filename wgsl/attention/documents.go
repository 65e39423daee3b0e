package attention

import (
	"fmt"

	"steplm/gpu"
)

// Bounds are the rows (2 B, T) by which kernels know documents: for each of B sequences where the document
// of every position begins, then for each where it ends. begins (B T) is the former by row, as data.Batch
// has it; nil: every sequence is one document. They are floats, exact up to the most positions
// that kernels take, so that they can stand behind statistics in one binding.
func Bounds(begins []uint32, b, t int) ([]float32, error) {
	bounds := make([]float32, 2*b*t)
	if begins == nil {
		begins = make([]uint32, b*t)
	}
	if len(begins) != b*t {
		return nil, fmt.Errorf("documents of %d rows for %d", len(begins), b*t)
	}
	for i := len(begins) - 1; i >= 0; i-- {
		at, begin, end := i%t, begins[i], float32(t)
		if at < t-1 {
			end = bounds[b*t+i+1]
			if next := begins[i+1]; int(next) == at+1 { // the next document
				end = float32(next)
			} else if next != begin {
				return nil, fmt.Errorf("row %d is of a document that begins at %d of its window, the row behind it of "+
					"one that begins at %d", i, begin, next)
			}
		}
		if at == 0 && begin != 0 {
			return nil, fmt.Errorf("row %d is its window's first and of a document that begins at %d", i, begin)
		}
		bounds[i], bounds[b*t+i] = float32(begin), end
	}
	return bounds, nil
}

// documentsSuffix ends the word of a class of Shape.Documents.
const documentsSuffix = " documents"

// statistics are the letters of kinds' F32 tensors.
const statistics = "SDB"

// cutBounds parts the values of a tensor from the bounds behind them; without documents there are none.
func cutBounds(x []float32, s Shape) (values, bounds []float32) {
	if !s.Documents {
		return x, nil
	}
	at := len(x) - 2*s.B*s.T
	return x[:at], x[at:]
}

// outputs are what a call writes, without bounds.
func (c Class) outputs(tensors []gpu.Tensor) []gpu.Tensor {
	list := []gpu.Tensor{tensors[0], tensors[1]}
	if c.tensors()[1] == 'D' {
		list[1] = list[1].Part(0, c.Shape.B*c.Shape.H)
	}
	return list
}

// writeBounds gives a trial's tensor documents of unlike lengths, a quarter, an eighth and the rest of the
// positions: how long a run's are is not known.
func (c Class) writeBounds(d gpu.Device, x gpu.Tensor, values []float32) error {
	s := c.Shape
	begins := make([]uint32, s.B*s.T)
	for i := range begins {
		at := uint32(i % s.T)
		for _, begin := range []uint32{uint32(s.T / 4), uint32(s.T/4 + s.T/8)} {
			if at >= begin {
				begins[i] = begin
			}
		}
	}
	bounds, err := Bounds(begins, s.B, s.T)
	if err != nil {
		return err
	}
	_, to := cutBounds(values, s)
	copy(to, bounds)
	return gpu.WriteRows(d, x, x.Rows()-2*s.B, bounds)
}
