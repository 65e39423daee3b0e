package text

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"unicode/utf8"

	"steplm/data/internal/shard"
)

// Whole reads a text file as one row, byte for byte: no line endings are
// changed and nothing is stripped. All of it is held in memory.
type Whole struct{ Compression }

func (k Whole) Scan(path string, o shard.Ask) (shard.Layout, error) {
	if len(o.Filter.Columns()) > 0 {
		return shard.Layout{}, fmt.Errorf("%s: the filter (%s) cannot work: a text file has no columns", path, o.Filter)
	}
	if o.Column != shard.TextColumn {
		return shard.Layout{}, fmt.Errorf("%s: no column %q: a text file has no columns", path, o.Column)
	}
	text, size, sum, err := k.Read(path)
	if err == nil && len(text) == 0 {
		err = errors.New("the file is empty")
	}
	if err != nil {
		if !errors.As(err, new(shard.ReadError)) {
			err = shard.Damage{Err: err}
		}
		return shard.Layout{}, fmt.Errorf("%s: %w", path, err)
	}
	l := shard.Layout{Size: size, Offsets: []int64{0}, Sum: sum}
	l.Add(1)
	return l, nil
}

func (k Whole) Open(path string, _ shard.Ask, known shard.Layout) (shard.File, error) {
	return &textFile{path, k, known}, nil
}

type textFile struct {
	path   string
	format Whole
	layout shard.Layout
}

func (f *textFile) Close() error { return nil }

func (f *textFile) Rows(int) iter.Seq2[shard.Value, error] {
	return func(yield func(shard.Value, error) bool) {
		text, _, sum, err := f.format.Read(f.path)
		if err == nil && sum != f.layout.Sum {
			err = errors.New("the file changed while in use")
		}
		yield(shard.Value{Text: string(text)}, err)
	}
}

// Read reads all of a file: its text, its size on the disk and its SHA-256.
func (c Compression) Read(path string) (text []byte, size int64, sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, sum, shard.ReadError{Err: err}
	}
	defer f.Close()
	hash := sha256.New()
	disk := &diskReader{r: f}
	r, err := c.reader(io.TeeReader(disk, hash))
	if err != nil {
		return nil, 0, sum, firstOf(disk.err, fmt.Errorf("not readable: %w", err))
	}
	defer r.Close()
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, maxLine+1))
	switch {
	case err != nil:
		return nil, 0, sum, firstOf(disk.err, fmt.Errorf("not readable: %w", err))
	case n > maxLine:
		return nil, 0, sum, fmt.Errorf("a text of more than %d bytes; split the file", maxLine)
	case !utf8.Valid(b.Bytes()):
		return nil, 0, sum, errors.New("not a UTF-8 text file")
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, sum, shard.ReadError{Err: err}
	}
	return b.Bytes(), info.Size(), [sha256.Size]byte(hash.Sum(nil)), nil
}
