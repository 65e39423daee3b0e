package data

import (
	"cmp"
	"slices"

	"steplm/data/internal/shard"
)

// units lists every row group in file order.
func (s *Shards) units() []shard.Unit {
	var list []shard.Unit
	for i, l := range s.shards {
		for g := range l.Groups {
			list = append(list, shard.Unit{Shard: i, Group: g})
		}
	}
	return list
}

// order lists the row groups as an epoch reads them: the shards in an order of
// their own, and each one's row groups in another. It is a pure function of the
// arguments and the shards' layouts.
func (s *Shards) order(seed uint64, epoch int) []shard.Unit {
	var list []shard.Unit
	for _, i := range permutation(seed, epoch, shardOrder, len(s.shards)) {
		for _, g := range permutation(seed, epoch, groupOrder-int64(i), len(s.shards[i].Groups)) {
			list = append(list, shard.Unit{Shard: i, Group: g})
		}
	}
	return list
}

// What permutation orders besides the windows of blocks, which count from 0.
const (
	shardOrder = -1
	groupOrder = -2 // of shard 0, and downwards
)

// Order lists the shards as the first epoch reads them.
func (s *Shards) Order(seed uint64) []int { return permutation(seed, 0, shardOrder, len(s.shards)) }

// permutation is the order in which the n windows of a block are handed out:
// the indices 0 to n-1 sorted by a hash keyed with (seed, epoch, block). It
// depends on nothing else, so a cursor need not store it.
func permutation(seed uint64, epoch int, block int64, n int) []int {
	key := mix(mix(mix(seed)^uint64(epoch)) ^ uint64(block))
	order := make([]int, n)
	hash := make([]uint64, n)
	for i := range order {
		order[i] = i
		hash[i] = mix(key + uint64(i)*golden)
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(hash[a], hash[b]), cmp.Compare(a, b))
	})
	return order
}

// golden is 2^64 divided by the golden ratio, splitmix64's increment.
const golden = 0x9E3779B97F4A7C15

// mix is splitmix64's output function, a bijection that spreads every bit
// (Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, 2014).
func mix(x uint64) uint64 {
	x += golden
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}
