package data

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"unicode/utf8"
)

// textFormat reads a text file as one row, byte for byte: no line endings are
// changed and nothing is stripped. All of it is held in memory.
type textFormat struct{ compression }

func (k textFormat) scan(path string, o OpenOptions) (layout, error) {
	if len(o.Filter.columns()) > 0 {
		return layout{}, fmt.Errorf("%s: the filter (%s) cannot work: a text file has no columns", path, o.Filter)
	}
	if o.Column != TextColumn {
		return layout{}, fmt.Errorf("%s: no column %q: a text file has no columns", path, o.Column)
	}
	text, size, sum, err := k.read(path)
	if err == nil && len(text) == 0 {
		err = errors.New("the file is empty")
	}
	if err != nil {
		if !errors.As(err, new(readError)) {
			err = damage{err}
		}
		return layout{}, fmt.Errorf("%s: %w", path, err)
	}
	l := layout{size: size, offsets: []int64{0}, sum: sum}
	l.add(1)
	return l, nil
}

func (k textFormat) open(path string, _ OpenOptions, known layout) (shardFile, error) {
	return &textFile{path, k, known}, nil
}

type textFile struct {
	path   string
	format textFormat
	layout layout
}

func (f *textFile) Close() error { return nil }

func (f *textFile) rows(int) iter.Seq2[value, error] {
	return func(yield func(value, error) bool) {
		text, _, sum, err := f.format.read(f.path)
		if err == nil && sum != f.layout.sum {
			err = errors.New("the file changed while in use")
		}
		yield(value{text: string(text)}, err)
	}
}

// read reads all of a file: its text, its size on the disk and its SHA-256.
func (c compression) read(path string) (text []byte, size int64, sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, sum, readError{err}
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
		return nil, 0, sum, readError{err}
	}
	return b.Bytes(), info.Size(), [sha256.Size]byte(hash.Sum(nil)), nil
}

// RawText yields a text file as one Document, byte for byte. A file that is empty
// or not UTF-8 is an error.
func RawText(path string) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		text, _, _, err := plain.read(path)
		if err == nil && len(text) == 0 {
			err = errors.New("the file is empty")
		}
		if err != nil {
			yield(Document{}, fmt.Errorf("%s: %w", path, err))
			return
		}
		yield(Document{Text: string(text)}, nil)
	}
}
