package subword

import "math/bits"

// merges finds what a pair becomes: a table with open addressing, half empty,
// which takes a third of a map's time.
type merges struct {
	slots []slot
	shift int
}

type slot struct {
	pair  Pair
	merge merge // noMerge: the slot is empty
}

func newMerges(of map[Pair]merge) merges {
	size := bits.Len(uint(2 * len(of))) // of the table, a power of two
	m := merges{make([]slot, 1<<size), 64 - size}
	for i := range m.slots {
		m.slots[i].merge = noMerge
	}
	for p, to := range of {
		at := m.at(p)
		for m.slots[at].merge != noMerge {
			at = (at + 1) % len(m.slots)
		}
		m.slots[at] = slot{p, to}
	}
	return m
}

// at is where the search for a pair begins (Fibonacci hashing).
func (m *merges) at(p Pair) int { return int(uint64(p) * 0x9E3779B97F4A7C15 >> m.shift) }

// find is what a pair becomes, or noMerge.
func (m *merges) find(left, right uint32) merge {
	p := PairOf(left, right)
	for at := m.at(p); ; at = (at + 1) & (len(m.slots) - 1) {
		if s := &m.slots[at]; s.pair == p || s.merge == noMerge {
			return s.merge
		}
	}
}
