package data

import (
	"errors"

	"steplm/data/inspect"
	"steplm/data/internal/kind"
	"steplm/data/internal/shard"
)

// Inspect adds up what is in all files that pattern names, as Open has it, of any kind that is
// read. What is damaged or not there is told in Missing; it is an error only if no file is
// readable.
func Inspect(pattern string, o inspect.Options) (*inspect.Inspection, error) {
	paths, err := Find(pattern)
	if err != nil {
		return nil, err
	}
	in := inspect.New(o)
	for _, path := range paths {
		f, err := kind.Of(path)
		if err == nil {
			err = f.Inspect(path, in)
		}
		if errors.As(err, new(shard.Damage)) {
			in.Miss("%v", err)
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	if in.Done(); len(in.Files) == 0 {
		return nil, errors.New(in.Missing[0])
	}
	return in.Inspection, nil
}
