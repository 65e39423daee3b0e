package optim

import (
	"steplm/gpu"
	"steplm/model"
)

// multiplier is Settings of an optimizer that makes products of matrices: FLOPs is the operations, a multiply-add
// counting 2, of one update of a parameter, those of rarer work shared among the updates.
type multiplier interface {
	FLOPs(p model.ParamSpec) float64
}

// FLOPs is the operations of the products in one update of all that trains in a layout: 0 of an optimizer that
// works element by element.
func (c Config) FLOPs(l model.Layout) (sum float64) {
	m, ok := c.Settings.(multiplier)
	if !ok {
		return 0
	}
	for _, p := range l.Params() {
		if p.Trains() {
			sum += m.FLOPs(p)
		}
	}
	return sum
}

// sides are a matrix's shorter and longer side.
func sides(w gpu.Spec) (short, long float64) {
	r, c := float64(w.Rows()), float64(w.Cols())
	return min(r, c), max(r, c)
}
