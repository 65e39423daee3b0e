package data

import (
	"errors"

	"steplm/data/internal/kind"
	"steplm/data/internal/shard"
	"steplm/data/parquet"
)

// Inspect reads the footers of all files that pattern names, as Open has it, and
// then rows. What is damaged or not there is told in Missing; it is an error
// only if no file is readable.
func Inspect(pattern string, o parquet.InspectOptions) (*parquet.Inspection, error) {
	paths, err := find(pattern)
	if err != nil {
		return nil, err
	}
	in := parquet.NewInspector(o)
	for _, path := range paths {
		f, err := kind.Of(path)
		if errors.As(err, new(shard.Damage)) {
			in.Miss("%v", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, isParquet := f.(parquet.Format); !isParquet {
			in.Miss("%s: only Parquet files are inspected", path)
			continue
		}
		if err := in.File(path); err != nil {
			return nil, err
		}
	}
	if in.Done(); len(in.Files) == 0 {
		return nil, errors.New(in.Missing[0])
	}
	return in.Inspection, nil
}
