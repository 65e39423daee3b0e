package prose

import "math/rand/v2"

// random draws from PCG, whose stream Go keeps stable; the two methods are its
// own so that a Go release that draws integers another way changes no text.
type random struct{ source *rand.PCG }

func newRandom(seed, stream uint64) *random { return &random{rand.NewPCG(seed, stream)} }

// below is uniform in 0..n-1 up to a bias of n/2^64.
func (r *random) below(n int) int { return int(r.source.Uint64() % uint64(n)) }

// between is uniform in lo..hi, both included.
func (r *random) between(lo, hi int) int { return lo + r.below(hi-lo+1) }

// chance is true p times in a hundred.
func (r *random) chance(p int) bool { return r.below(100) < p }

func pick[T any](r *random, items []T) T { return items[r.below(len(items))] }

// sample draws n different items in random order.
func sample[T any](r *random, items []T, n int) []T {
	out := append([]T(nil), items...)
	for i := 0; i < n; i++ {
		j := i + r.below(len(out)-i)
		out[i], out[j] = out[j], out[i]
	}
	return out[:n]
}

// some keeps n items in their order.
func some[T any](r *random, items []T, n int) []T {
	out := append([]T(nil), items...)
	for len(out) > n {
		i := r.below(len(out))
		out = append(out[:i], out[i+1:]...)
	}
	return out
}
