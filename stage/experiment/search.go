package experiment

import (
	"math"
	"slices"

	"steplm/stage/results"
)

// Sought are the runs by which a variant's learning rate is chosen, in the order of the values, as far as those that
// ended tell. They depend on nothing but what the runs end with, not on which of several at a time is the first.
func (f *Folder) Sought(variant int) []Run {
	all := f.TrialsOf(variant)
	if len(all) == 0 {
		return nil
	}
	from, to := f.File.LearningRate.sought(func(i int) (float64, bool) {
		row := f.Row(all[i])
		return row.ValidationPerplexity, row.Status == results.Selection || row.Status == results.Diverged
	})
	return all[from : to+1]
}

// sought are the first and the last of the values that are tried: all without Begin. With it these are its own and its
// neighbours' at first, and whenever all of them ended and the best of them is the first or the last of them, one more
// beside that, so that the best has a worse one on both sides, or is at an end of the values. Of two alike the lower is
// the best, and so it is where none gave a number. What a value's run ended with is false while it has not.
func (lr LearningRate) sought(ended func(i int) (perplexity float64, ok bool)) (from, to int) {
	last := len(lr.Values) - 1
	if lr.Begin == 0 {
		return 0, last
	}
	begin := slices.Index(lr.Values, lr.Begin)
	from, to = max(begin-1, 0), min(begin+1, last)
	for {
		best, least := from, math.Inf(1)
		for i := from; i <= to; i++ {
			p, ok := ended(i)
			if !ok {
				return from, to
			}
			if p < least {
				best, least = i, p
			}
		}
		switch {
		case best == from && from > 0:
			from--
		case best == to && to < last:
			to++
		default:
			return from, to
		}
	}
}

// sameTrials reports whether a choice was made from what the file says now; its runs' folders may be gone.
func (f *Folder) sameTrials(c Choice, variant int) bool {
	all := f.TrialsOf(variant)
	if len(all) == 0 {
		return false
	}
	from, to := f.File.LearningRate.sought(func(i int) (float64, bool) {
		at := slices.IndexFunc(c.Tried, func(t Tried) bool { return t.Run == all[i].Name })
		switch {
		case at < 0:
			return 0, false
		case c.Tried[at].ValidationPerplexity == nil:
			return math.NaN(), true
		}
		return *c.Tried[at].ValidationPerplexity, true
	})
	return slices.EqualFunc(c.Tried, all[from:to+1], func(t Tried, r Run) bool { return t.Run == r.Name })
}
