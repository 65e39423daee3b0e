package examples

import (
	"fmt"
	"iter"

	"steplm/data"
)

// openColumns opens a Parquet file with Alpaca's columns, of which input may be missing.
func openColumns(path string) (*source, error) {
	var columns []*data.Shards
	s := &source{}
	for _, name := range []string{keyInstruction, keyOutput, keyInput} {
		c, err := data.OpenColumn(path, name)
		if err != nil && name == keyInput {
			continue
		}
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
		s.sum += c.Identity()
	}
	s.records = rows(columns)
	return s, nil
}

// rows are the records of columns; a null in one is a text that is not there.
func rows(columns []*data.Shards) iter.Seq2[found, error] {
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
			f := found{at: fmt.Sprint("row ", row+1)}
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
