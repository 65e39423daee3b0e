// Package permute shuffles by hashing: an order that follows from a few numbers, so that a cursor into it stores none.
package permute

import (
	"cmp"
	"slices"
)

// Permutation is the order in which the n windows of a block are handed out:
// the indices 0 to n-1 sorted by a hash keyed with (seed, epoch, block). It
// depends on nothing else, so a cursor need not store it.
func Permutation(seed uint64, epoch int, block int64, n int) []int {
	key := Mix(Mix(Mix(seed)^uint64(epoch)) ^ uint64(block))
	order := make([]int, n)
	hash := make([]uint64, n)
	for i := range order {
		order[i] = i
		hash[i] = Mix(key + uint64(i)*golden)
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(hash[a], hash[b]), cmp.Compare(a, b))
	})
	return order
}

// golden is 2^64 divided by the golden ratio, splitmix64's increment.
const golden = 0x9E3779B97F4A7C15

// Mix is splitmix64's output function, a bijection that spreads every bit
// (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
func Mix(x uint64) uint64 {
	x += golden
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}
