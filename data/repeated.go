package data

import (
	"cmp"
	"context"

	"steplm/data/internal/shard"
)

// rowSet is a set of rows: a bit for each row of each shard.
type rowSet struct{ bits [][]uint64 }

func (s *Shards) newRowSet() *rowSet {
	set := &rowSet{bits: make([][]uint64, len(s.shards))}
	for i, l := range s.shards {
		set.bits[i] = make([]uint64, (l.Rows()+63)/64)
	}
	return set
}

func (r *rowSet) add(shard int, row int64) { r.bits[shard][row/64] |= 1 << (row % 64) }

func (r *rowSet) has(shard int, row int64) bool { return r.bits[shard][row/64]&(1<<(row%64)) != 0 }

// repeated is the rows whose text came before, in file order: the same whatever
// order an epoch reads them in. The first call reads all shards; only the bits
// are kept.
func (s *Shards) repeated(ctx context.Context) (*rowSet, error) {
	s.repeatedMu.Lock()
	defer s.repeatedMu.Unlock()
	if s.repeats != nil {
		return s.repeats, nil
	}
	set, seen := s.newRowSet(), newSeen(s.options.seenSets)
	var failed error
	s.readKnowing(ctx, s.units(), 0, nil, func(r row, err error) bool {
		if failed = cmp.Or(err, ctx.Err()); failed != nil {
			return false
		}
		if r.dropped == shard.Kept && seen.before(r.Text) {
			set.add(r.Shard, r.Row)
		}
		return true
	})
	if failed != nil {
		return nil, failed
	}
	s.repeats = set
	return set, nil
}
