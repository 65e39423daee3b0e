package data

import (
	"steplm/data/internal/permute"
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
	for _, i := range permute.Permutation(seed, epoch, shardOrder, len(s.shards)) {
		for _, g := range permute.Permutation(seed, epoch, groupOrder-int64(i), len(s.shards[i].Groups)) {
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
func (s *Shards) Order(seed uint64) []int {
	return permute.Permutation(seed, 0, shardOrder, len(s.shards))
}
