package generate

import "slices"

// extent is positions of the cache that one sequence has.
type extent struct{ first, n int }

// extents are positions of the cache that nobody has, in order, no two of which touch.
type extents struct{ free []extent }

func newExtents(n int) *extents { return &extents{[]extent{{0, n}}} }

// take finds the first place for n positions.
func (e *extents) take(n int) (extent, bool) {
	for i := range e.free {
		if x := &e.free[i]; x.n >= n {
			taken := extent{x.first, n}
			x.first, x.n = x.first+n, x.n-n
			if x.n == 0 {
				e.free = slices.Delete(e.free, i, i+1)
			}
			return taken, true
		}
	}
	return extent{}, false
}

// give gives positions back.
func (e *extents) give(x extent) {
	at, _ := slices.BinarySearchFunc(e.free, x.first, func(f extent, first int) int { return f.first - first })
	e.free = slices.Insert(e.free, at, x)
	for i := max(0, at-1); i+1 < len(e.free) && i <= at; {
		if f := &e.free[i]; f.first+f.n == e.free[i+1].first {
			f.n += e.free[i+1].n
			e.free = slices.Delete(e.free, i+1, i+2)
			continue
		}
		i++
	}
}

// left is how many positions nobody has.
func (e *extents) left() (n int) {
	for _, x := range e.free {
		n += x.n
	}
	return n
}
