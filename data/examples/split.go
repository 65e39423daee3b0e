package examples

import (
	"fmt"
	"math"

	"steplm/data/internal/permute"
)

// Split keeps about a share of the examples apart. Which, their ids alone say: an example that is there twice is in one
// of the two sets.
func (s *Set) Split(share float64) (rest, apart *Set, err error) {
	if !(share > 0 && share < 1) {
		return nil, nil, fmt.Errorf("%g of the examples are to be kept apart: it must be more than 0 and less than 1",
			share)
	}
	r, a := *s, *s
	r.Examples, a.Examples = nil, nil
	for _, x := range s.Examples {
		h := uint64(len(x.IDs))
		for _, id := range x.IDs {
			h = permute.Mix(h ^ uint64(id))
		}
		if float64(h)/math.MaxUint64 < share {
			a.Examples = append(a.Examples, x)
		} else {
			r.Examples = append(r.Examples, x)
		}
	}
	r.identity += fmt.Sprintf(", without a share of %g", share)
	a.identity += fmt.Sprintf(", a share of %g", share)
	if len(r.Examples) == 0 || len(a.Examples) == 0 {
		return nil, nil, fmt.Errorf("of %d examples, a share of %g would be %d: both parts need at least one",
			len(s.Examples), share, len(a.Examples))
	}
	return &r, &a, nil
}

// First is the first n examples, all where there are no more. Those that are cut are counted among them, what was left
// out among all.
func (s *Set) First(n int) *Set {
	if n >= len(s.Examples) {
		return s
	}
	f := *s
	f.Examples = s.Examples[:n:n]
	f.Left.Cut = 0
	for _, x := range f.Examples {
		if x.Cut {
			f.Left.Cut++
		}
	}
	f.identity += fmt.Sprintf(", the first %d", n)
	return &f
}
