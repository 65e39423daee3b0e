package examples

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
	names, n, err := parquet.Fields(path)
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
	s := &source{}
	var columns []string
	for _, name := range []string{keyInstruction, keyOutput, keyInput} {
		if !slices.Contains(names, name) {
			if name == keyInput {
				continue
			}
			return nil, fmt.Errorf("%s: it has no column %q, but %s: %s", path, name, strings.Join(names, ", "), shape)
		}
		columns = append(columns, name)
		if n == 0 {
			continue // Data without rows are an error, a file without them beside others is none.
		}
		c, err := data.OpenColumn(path, name)
		if err != nil {
			return nil, err
		}
		s.sum += c.Identity()
	}
	s.records = rows(path, columns, others, func([]byte) {})
	return s, nil
}

// openTalks opens a Parquet file with a column of conversations, which is a list of groups. The source's sum is there
// when all of them were read.
func openTalks(path, column string, others []string) *source {
	s := &source{}
	s.records = func(yield func(found, error) bool) {
		hash := sha256.New()
		for f, err := range rows(path, []string{column}, others, func(row []byte) { fmt.Fprintf(hash, "%s\n", row) }) {
			if !yield(f, err) {
				return
			}
		}
		s.sum = hex.EncodeToString(hash.Sum(nil))
	}
	return s
}

// rows are the records of a file's rows; a null in a column of texts is one that is not there. Each row that can be
// read is heard as JSON before its record.
func rows(path string, columns, others []string, hear func(row []byte)) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		row := int64(0)
		for text, err := range parquet.Objects(path, columns...) {
			f := found{others: others, rows: 1}
			var bad *parquet.Unread
			switch {
			case errors.As(err, &bad):
				f.err, f.rows = fmt.Errorf("row group %d: %w", bad.Group, bad.Err), bad.Rows
			case err != nil:
				yield(found{}, err)
				return
			default:
				hear(text)
				f.record, _, f.err = parse(text)
			}
			f.at = fmt.Sprint("row ", row+1)
			if row += f.rows; f.rows > 1 {
				f.at = fmt.Sprintf("rows %d to %d", row-f.rows+1, row)
			}
			if !yield(f, nil) {
				return
			}
		}
	}
}
