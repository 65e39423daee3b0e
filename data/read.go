package data

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"steplm/data/internal/shard"
)

// Documents yields the texts from a position on, in file and row order, to the
// end of the last shard. Rows that are no documents are left out and counted
// (Dropped); empty texts are yielded. Text that is not UTF-8 is an error. After
// an error the sequence ends.
func (s *Shards) Documents(from Position) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		units, err := s.from(from)
		if err != nil {
			yield(Document{}, err)
			return
		}
		row := from.Row
		if len(units) > 0 && units[0].Shard > from.Shard {
			row = 0
		}
		for r, err := range s.read(context.Background(), units, row) {
			if err == nil && r.dropped != shard.Kept {
				s.count(r)
				continue
			}
			if !yield(r.Document, err) {
				return
			}
		}
	}
}

// row is a row as it is read: a document, or a row or more that are none.
type row struct {
	Document
	dropped shard.Reason
	rows    int64
}

// from lists the row groups in file order, from the one that holds a position on.
func (s *Shards) from(p Position) ([]shard.Unit, error) {
	if p.Shard < 0 || p.Shard > len(s.Files) || p.Row < 0 || p.Shard == len(s.Files) && p.Row > 0 {
		return nil, fmt.Errorf("position (shard %d, row %d) is outside the %d shards", p.Shard, p.Row, len(s.Files))
	}
	if p.Shard == len(s.Files) {
		return nil, nil
	}
	l := s.shards[p.Shard]
	if n := l.Rows(); p.Row > n {
		return nil, fmt.Errorf("%s: row %d was asked for, but the file has %d", s.Files[p.Shard], p.Row, n)
	}
	group := l.At(p.Row)
	units := s.units() // a shard's end is the next one's beginning
	for len(units) > 0 && (units[0].Shard < p.Shard || units[0].Shard == p.Shard && units[0].Group < group) {
		units = units[1:]
	}
	return units, nil
}

// read yields every row of row groups, in the order in which they are listed; of
// the first one's shard only from a row on. It may stop when the context ends.
func (s *Shards) read(ctx context.Context, units []shard.Unit, from int64) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		var repeated *rowSet
		if s.options.Filter.Dedupe {
			var err error
			if repeated, err = s.repeated(ctx); err != nil {
				yield(row{}, err)
				return
			}
		}
		s.readKnowing(ctx, units, from, repeated, yield)
	}
}

// readKnowing is read where it is known which rows repeat others (nil: whether
// any does is not looked at).
func (s *Shards) readKnowing(ctx context.Context, units []shard.Unit, from int64, repeated *rowSet,
	yield func(row, error) bool) {
	var f shard.File
	open := -1
	closeFile := func() {
		if f != nil {
			f.Close()
			f = nil
		}
	}
	defer closeFile()
	for i, u := range units {
		if u.Shard != open {
			closeFile()
			var err error
			if f, err = s.openShard(ctx, u.Shard); err != nil {
				yield(row{}, err)
				return
			}
			open = u.Shard
		}
		begin := int64(0)
		if i == 0 {
			begin = from
		}
		more, err := s.readUnit(f, u, begin, repeated, yield)
		if err != nil {
			yield(row{}, fmt.Errorf("%s: %w", s.Files[u.Shard], err))
			return
		}
		if !more {
			return
		}
	}
}

// readUnit yields a row group's rows from one of the shard on, and says whether
// to go on.
func (s *Shards) readUnit(f shard.File, u shard.Unit, from int64, repeated *rowSet,
	yield func(row, error) bool) (bool, error) {
	first, rows := s.shards[u.Shard].Firsts[u.Group], s.shards[u.Shard].Groups[u.Group]
	bad, err := s.isBad(f, u)
	if err != nil {
		return false, err
	}
	if bad {
		begin := max(from, first)
		return yield(row{Document{Shard: u.Shard, Row: begin}, shard.Skipped, first + rows - begin}, nil), nil
	}
	n := int64(0)
	for v, err := range f.Rows(u.Group) {
		if err != nil {
			return false, err
		}
		n++
		out := row{Document{v.Text, u.Shard, first + v.Row}, v.Dropped, 1}
		if v.Dropped == shard.Skipped {
			s.logRow(out.Document, v.Damage)
		}
		if out.Row < from {
			continue
		}
		if out.dropped == shard.Kept {
			out.dropped = s.options.Filter.Text(v.Text)
		}
		if out.dropped == shard.Kept && repeated != nil && repeated.has(u.Shard, out.Row) {
			out.dropped = shard.Duplicate
		}
		if !yield(out, nil) {
			return false, nil
		}
	}
	if n != rows {
		return false, fmt.Errorf("the file changed while in use: %d rows in row group %d, was %d", n, u.Group, rows)
	}
	return true, nil
}

func (s *Shards) openShard(ctx context.Context, i int) (shard.File, error) {
	path := s.Files[i]
	if s.options.Wait != nil {
		if err := s.options.Wait(ctx, path); err != nil {
			return nil, err
		}
	}
	return s.formats[i].Open(path, s.options.ask(), s.shards[i])
}

// isBad tells whether a row group is to be skipped. It reads all of it the first
// time; without SkipBad nothing is skipped and nothing is read.
func (s *Shards) isBad(f shard.File, u shard.Unit) (bool, error) {
	if !s.options.SkipBad {
		return false, nil
	}
	s.mu.Lock()
	bad, known := s.verdicts[u]
	s.mu.Unlock()
	if known {
		return bad, nil
	}
	var err error
	for _, e := range f.Rows(u.Group) {
		err = e // the last
	}
	if errors.As(err, new(shard.ReadError)) {
		return false, err // not the data's fault: another time it may be read
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known = s.verdicts[u]; !known && err != nil {
		s.log("skipped %d rows: %s: %v", s.shards[u.Shard].Groups[u.Group], s.Files[u.Shard], err)
	}
	s.verdicts[u] = err != nil
	return err != nil, nil
}

// logRow tells of a row that is skipped by itself, once.
func (s *Shards) logRow(d Document, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := Position{Shard: d.Shard, Row: d.Row}
	if !s.told[at] {
		s.told[at] = true
		s.log("skipped 1 row: %s: %v", s.Files[d.Shard], why)
	}
}
