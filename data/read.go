package data

import (
	"context"
	"errors"
	"fmt"
	"iter"
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
		if len(units) > 0 && units[0].shard > from.Shard {
			row = 0
		}
		for r, err := range s.read(context.Background(), units, row) {
			if err == nil && r.dropped != kept {
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
	dropped reason
	rows    int64
}

// from lists the row groups in file order, from the one that holds a position on.
func (s *Shards) from(p Position) ([]unit, error) {
	if p.Shard < 0 || p.Shard > len(s.Files) || p.Row < 0 || p.Shard == len(s.Files) && p.Row > 0 {
		return nil, fmt.Errorf("position (shard %d, row %d) is outside the %d shards", p.Shard, p.Row, len(s.Files))
	}
	if p.Shard == len(s.Files) {
		return nil, nil
	}
	l := s.shards[p.Shard]
	if n := l.rows(); p.Row > n {
		return nil, fmt.Errorf("%s: row %d was asked for, but the file has %d", s.Files[p.Shard], p.Row, n)
	}
	group := l.at(p.Row)
	units := s.units() // a shard's end is the next one's beginning
	for len(units) > 0 && (units[0].shard < p.Shard || units[0].shard == p.Shard && units[0].group < group) {
		units = units[1:]
	}
	return units, nil
}

// read yields every row of row groups, in the order in which they are listed; of
// the first one's shard only from a row on. It may stop when the context ends.
func (s *Shards) read(ctx context.Context, units []unit, from int64) iter.Seq2[row, error] {
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
func (s *Shards) readKnowing(ctx context.Context, units []unit, from int64, repeated *rowSet, yield func(row, error) bool) {
	var f shardFile
	open := -1
	closeFile := func() {
		if f != nil {
			f.Close()
			f = nil
		}
	}
	defer closeFile()
	for i, u := range units {
		if u.shard != open {
			closeFile()
			var err error
			if f, err = s.openShard(ctx, u.shard); err != nil {
				yield(row{}, err)
				return
			}
			open = u.shard
		}
		begin := int64(0)
		if i == 0 {
			begin = from
		}
		more, err := s.readUnit(f, u, begin, repeated, yield)
		if err != nil {
			yield(row{}, fmt.Errorf("%s: %w", s.Files[u.shard], err))
			return
		}
		if !more {
			return
		}
	}
}

// readUnit yields a row group's rows from one of the shard on, and says whether
// to go on.
func (s *Shards) readUnit(f shardFile, u unit, from int64, repeated *rowSet, yield func(row, error) bool) (bool, error) {
	first, rows := s.shards[u.shard].firsts[u.group], s.shards[u.shard].groups[u.group]
	bad, err := s.isBad(f, u)
	if err != nil {
		return false, err
	}
	if bad {
		begin := max(from, first)
		return yield(row{Document{Shard: u.shard, Row: begin}, skipped, first + rows - begin}, nil), nil
	}
	n := int64(0)
	for v, err := range f.rows(u.group) {
		if err != nil {
			return false, err
		}
		n++
		out := row{Document{v.text, u.shard, first + v.row}, v.dropped, 1}
		if v.dropped == skipped {
			s.logRow(out.Document, v.damage)
		}
		if out.Row < from {
			continue
		}
		if out.dropped == kept {
			out.dropped = s.options.Filter.text(v.text)
		}
		if out.dropped == kept && repeated != nil && repeated.has(u.shard, out.Row) {
			out.dropped = duplicate
		}
		if !yield(out, nil) {
			return false, nil
		}
	}
	if n != rows {
		return false, fmt.Errorf("the file changed while in use: %d rows in row group %d, was %d", n, u.group, rows)
	}
	return true, nil
}

func (s *Shards) openShard(ctx context.Context, i int) (shardFile, error) {
	path := s.Files[i]
	if s.options.Wait != nil {
		if err := s.options.Wait(ctx, path); err != nil {
			return nil, err
		}
	}
	return formatOf(path).open(path, s.options, s.shards[i])
}

// isBad tells whether a row group is to be skipped. It reads all of it the first
// time; without SkipBad nothing is skipped and nothing is read.
func (s *Shards) isBad(f shardFile, u unit) (bool, error) {
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
	for _, e := range f.rows(u.group) {
		err = e // the last
	}
	if errors.As(err, new(readError)) {
		return false, err // not the data's fault: another time it may be read
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known = s.verdicts[u]; !known && err != nil {
		s.log("skipped %d rows: %s: %v", s.shards[u.shard].groups[u.group], s.Files[u.shard], err)
	}
	s.verdicts[u] = err != nil
	return err != nil, nil
}

// logRow tells of a row that is skipped by itself, once.
func (s *Shards) logRow(d Document, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := Position{d.Shard, d.Row}
	if !s.told[at] {
		s.told[at] = true
		s.log("skipped 1 row: %s: %v", s.Files[d.Shard], why)
	}
}
