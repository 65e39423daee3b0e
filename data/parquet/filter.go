package parquet

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"

	"steplm/data/internal/shard"
)

// reasons are why rows of a row group are left out by their columns; nil if the
// filter reads none.
func (f *columnFile) reasons(group int, filter shard.Filter) ([]shard.Reason, error) {
	var all []shard.Reason
	if filter.MinScore != nil {
		err := f.numbers(group, f.filters[shard.ScoreColumn], func(score float64, null bool) {
			r := shard.Kept
			if null || !(score >= *filter.MinScore) {
				r = shard.LowScore
			}
			all = append(all, r)
		})
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", shard.ScoreColumn, err)
		}
	}
	if len(filter.Languages) > 0 {
		row := 0
		for v, err := range cells[parquet.ByteArray](f, group, f.filters[shard.LanguageColumn]) {
			if err != nil {
				return nil, fmt.Errorf("column %q: %w", shard.LanguageColumn, err)
			}
			r := shard.Kept
			if v.null || !slices.Contains(filter.Languages, string(v.value)) {
				r = shard.Language
			}
			if filter.MinScore == nil {
				all = append(all, r)
			} else {
				all[row] = cmp.Or(all[row], r)
			}
			row++
		}
	}
	return all, nil
}

// numbers reads a column of numbers in one row group.
func (f *columnFile) numbers(group, column int, each func(v float64, null bool)) error {
	switch t := f.reader.MetaData().Schema.Column(column).PhysicalType(); t {
	case parquet.Types.Double:
		return eachNumber[float64](f, group, column, each)
	case parquet.Types.Float:
		return eachNumber[float32](f, group, column, each)
	case parquet.Types.Int64:
		return eachNumber[int64](f, group, column, each)
	case parquet.Types.Int32:
		return eachNumber[int32](f, group, column, each)
	default:
		return fmt.Errorf("values of type %s are no numbers", t)
	}
}

func eachNumber[T float64 | float32 | int64 | int32](f *columnFile, group, column int,
	each func(v float64, null bool)) error {
	for v, err := range cells[T](f, group, column) {
		if err != nil {
			return err
		}
		each(float64(v.value), v.null)
	}
	return nil
}

// chunkReader is what Arrow's readers of all types have.
type chunkReader[T any] interface {
	file.ColumnChunkReader
	ReadBatch(n int64, values []T, definition, repetition []int16) (rows int64, read int, err error)
}
