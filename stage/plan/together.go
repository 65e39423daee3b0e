package plan

import (
	"slices"

	"steplm/model/advice"
	"steplm/stage/recipe"
)

// mostTogether is how many changes are combined at most.
const mostTogether = 8

// together looks for changes that fit into a limit together: again and again the one that helps most, until it fits or
// nothing helps, then without those that are not needed. Its bytes say whether it fits.
func together(method string, o recipe.Options, limit, overhead int64) (best Fitting) {
	var steps []advice.Way
	at := recipe.Change{Method: method, Options: o}
	best.Bytes = leastOf(at, overhead)
	for range mostTogether {
		next, found := at, false
		for _, c := range changes(at.Method, at.Options) {
			if n := leastOf(c, overhead); n > 0 && n < best.Bytes {
				best.Bytes, next, found = n, c, true
			}
		}
		if !found {
			break
		}
		at, steps = next, append(steps, next.Way)
		if best.Bytes <= limit {
			break
		}
	}
	best.Way = join(steps)
	if best.Bytes > limit {
		return best
	}
	for i := 0; i < len(steps); {
		fewer := slices.Delete(slices.Clone(steps), i, i+1)
		if c, ok := apply(recipe.Change{Method: method, Options: o}, fewer); ok {
			if n := leastOf(c, overhead); n > 0 && n <= limit {
				steps, best = fewer, Fitting{join(fewer), n}
				continue
			}
		}
		i++
	}
	return best
}

// leastOf is what a change's smallest arrangement takes; 0: it is not allowed with the rest.
func leastOf(c recipe.Change, overhead int64) int64 {
	o := c.Options
	if o.Recompute == recipe.RecomputeAuto {
		o.Recompute = recipe.RecomputeBlock // which takes the least, and halves what is tried
	}
	all, err := arrangements(c.Method, o)
	if err != nil {
		return 0
	}
	return smallest(all).with(overhead)
}

// apply makes changes one after the other, found by their options.
func apply(at recipe.Change, ways []advice.Way) (recipe.Change, bool) {
	for _, w := range ways {
		list := changes(at.Method, at.Options)
		i := slices.IndexFunc(list, func(c recipe.Change) bool { return slices.Equal(c.Way, w) })
		if i < 0 {
			return at, false
		}
		at = list[i]
	}
	return at, true
}

// join is several ways at once; of an option the last word counts.
func join(ways []advice.Way) (all advice.Way) {
	for _, w := range ways {
		for _, r := range w {
			if i := slices.IndexFunc(all, func(x advice.Remedy) bool { return x.Option == r.Option }); i >= 0 {
				all[i] = r
			} else {
				all = append(all, r)
			}
		}
	}
	return all
}
