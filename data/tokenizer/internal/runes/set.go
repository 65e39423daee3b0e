package runes

import (
	"cmp"
	"slices"
	"unicode"
)

// Range is the runes from Low to High, both included.
type Range struct{ Low, High rune }

// Set is a set of runes: ranges in order that neither overlap nor touch.
type Set []Range

// Of is the set of some runes.
func Of(list ...rune) Set {
	ranges := make([]Range, len(list))
	for i, r := range list {
		ranges[i] = Range{r, r}
	}
	return Normal(ranges)
}

// Normal is the set of the runes of ranges in any order.
func Normal(ranges []Range) Set {
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.Low, b.Low) })
	var s Set
	for _, r := range ranges {
		if last := len(s) - 1; last >= 0 && r.Low <= s[last].High+1 {
			s[last].High = max(s[last].High, r.High)
		} else {
			s = append(s, r)
		}
	}
	return s
}

// Contains reports whether r is in the set.
func (s Set) Contains(r rune) bool {
	_, ok := slices.BinarySearchFunc(s, r, func(have Range, r rune) int {
		switch {
		case have.High < r:
			return -1
		case have.Low > r:
			return 1
		}
		return 0
	})
	return ok
}

// Or is the runes of either set.
func (s Set) Or(other Set) Set { return Normal(slices.Concat(s, other)) }

// Not is all other runes.
func (s Set) Not() Set {
	var out Set
	next := rune(0)
	for _, r := range s {
		if next < r.Low {
			out = append(out, Range{next, r.Low - 1})
		}
		next = r.High + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, Range{next, unicode.MaxRune})
	}
	return out
}

// And is the runes of both sets.
func (s Set) And(other Set) Set { return s.Not().Or(other.Not()).Not() }

// Equal reports whether two sets have the same runes.
func (s Set) Equal(other Set) bool { return slices.Equal(s, other) }
