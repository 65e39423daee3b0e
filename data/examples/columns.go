package examples

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"

	"steplm/data"
	"steplm/data/parquet"
)

// openColumns opens a Parquet file with a column of conversations, or with Alpaca's columns, of which input may be
// missing.
func openColumns(path string) (*source, error) {
	names, err := parquet.Fields(path)
	if err != nil {
		return nil, err
	}
	others, err := unread(names)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, name := range talkKeys {
		if slices.Contains(names, name) {
			return openTalks(path, name, others), nil
		}
	}
	var columns []*data.Shards
	s := &source{}
	for _, name := range []string{keyInstruction, keyOutput, keyInput} {
		if !slices.Contains(names, name) {
			if name == keyInput {
				continue
			}
			return nil, fmt.Errorf("%s: it has no column %q, but %s: %s", path, name, strings.Join(names, ", "), shape)
		}
		c, err := data.OpenColumn(path, name)
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
		s.sum += c.Identity()
	}
	s.records = rows(columns, others)
	return s, nil
}

// openTalks opens a Parquet file with a column of conversations, which is a list of groups. The source's sum is there
// when all of them were read.
func openTalks(path, column string, others []string) *source {
	s := &source{}
	s.records = func(yield func(found, error) bool) {
		hash, row := sha256.New(), 0
		for text, err := range parquet.Objects(path, column) {
			if err != nil {
				yield(found{}, err)
				return
			}
			row++
			fmt.Fprintf(hash, "%s\n", text)
			f := found{at: fmt.Sprint("row ", row), others: others}
			if f.record, _, f.err = parse(text); !yield(f, nil) {
				return
			}
		}
		s.sum = hex.EncodeToString(hash.Sum(nil))
	}
	return s
}

// rows are the records of columns; a null in one is a text that is not there.
func rows(columns []*data.Shards, others []string) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		type reader struct {
			next func() (data.Document, error, bool)
			held data.Document
			more bool
		}
		var readers []*reader
		for _, c := range columns {
			next, stop := iter.Pull2(c.Documents(data.Position{}))
			defer stop()
			readers = append(readers, &reader{next: next})
		}
		advance := func(r *reader) (err error) {
			r.held, err, r.more = r.next()
			return err
		}
		for _, r := range readers {
			if err := advance(r); err != nil {
				yield(found{}, err)
				return
			}
		}
		for row := range columns[0].Rows() {
			f := found{at: fmt.Sprint("row ", row+1), others: others}
			for i, to := range []*string{&f.instruction, &f.output, &f.input}[:len(readers)] {
				r := readers[i]
				switch {
				case r.more && r.held.Row == row:
					*to = r.held.Text
					if err := advance(r); err != nil {
						yield(found{}, err)
						return
					}
				case i < 2:
					f.err = fmt.Errorf("its %q is null: it must be a text", []string{keyInstruction, keyOutput}[i])
				}
			}
			if f.err == nil {
				f.err = f.check()
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}
