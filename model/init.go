package model

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
)

// initChunk is how many values are made and uploaded at once.
const initChunk = 1 << 20

// InitStd is the standard deviation of fresh weights (the ReLoRA and GaLore
// baselines' value).
const InitStd = 0.02

// Init fills the parameters that keep selects (nil: all) from a seed. The
// stream of a parameter depends on the seed and its name alone, and names carry
// block IDs: a block starts the same wherever it stands. Norms are one, LoRA's
// A is uniform within 1/sqrt(in) (kaiming-uniform with a = sqrt 5), its B zero.
func (m *Model) Init(seed uint64, keep func(*Param) bool) error {
	for _, p := range m.Params() {
		if keep != nil && !keep(p) {
			continue
		}
		if err := m.write(p, fresh(p, seed)); err != nil {
			return err
		}
	}
	return nil
}

// fresh makes a parameter's next initial value.
func fresh(p *Param, seed uint64) func() float32 {
	h := fnv.New64a()
	h.Write([]byte(p.Name))
	g := rand.New(rand.NewPCG(seed, h.Sum64()))
	shape := p.Weight.Shape
	switch {
	case len(shape) == 1:
		return func() float32 { return 1 }
	case p.Adapter() && p.Name[len(p.Name)-1] == 'b':
		return func() float32 { return 0 }
	case p.Adapter():
		bound := 1 / math.Sqrt(float64(shape[1]))
		return func() float32 { return float32((2*g.Float64() - 1) * bound) }
	}
	return func() float32 { return float32(g.NormFloat64() * InitStd) }
}

// write fills a parameter value by value, in chunks of whole rows.
func (m *Model) write(p *Param, next func() float32) error {
	cols := p.Weight.Cols()
	rows := max(1, initChunk/cols)
	buf := make([]float32, min(rows, p.Weight.Rows())*cols)
	for row := 0; row < p.Weight.Rows(); row += rows {
		part := buf[:min(rows, p.Weight.Rows()-row)*cols]
		for i := range part {
			part[i] = next()
		}
		if err := m.writeRows(p, row, part); err != nil {
			return err
		}
	}
	return nil
}
