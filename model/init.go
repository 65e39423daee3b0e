package model

import (
	"hash/fnv"
	"math/rand/v2"
)

// initChunk is how many values are made and uploaded at once.
const initChunk = 1 << 20

// Init fills the parameters that keep selects (nil: all) from a seed. The
// stream of a parameter depends on the seed and its name alone, and names carry
// block IDs: a block starts the same wherever it stands. How a parameter begins
// follows from its role.
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
	return roles[p.Role].begin(p.Weight.Shape, rand.New(rand.NewPCG(seed, h.Sum64())))
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
		if err := m.WriteRows(p, row, part); err != nil {
			return err
		}
	}
	return nil
}
