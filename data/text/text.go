package text

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
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
	l := shard.Layout{}
	var err error
	if l.Longest, l.Size, l.Sum, err = k.copy(io.Discard, path, o.Longest()); err != nil {
		if !errors.As(err, new(shard.ReadError)) {
			err = shard.Damage{Err: err}
		}
		return shard.Layout{}, fmt.Errorf("%s: %w", path, err)
	}
	if l.Longest > 0 {
		l.Offsets = []int64{0}
		l.Add(1)
	}
	return l, nil
}

func (k Whole) Open(path string, o shard.Ask, known shard.Layout) (shard.File, error) {
	return &textFile{path, k, o, known}, nil
}

type textFile struct {
	path    string
	format  Whole
	options shard.Ask
	layout  shard.Layout
}

func (f *textFile) Close() error { return nil }

func (f *textFile) Rows(int) iter.Seq2[shard.Value, error] {
	return func(yield func(shard.Value, error) bool) {
		text, sum, err := f.format.read(f.path, f.layout.Longest, f.options.Longest())
		if err == nil && sum != f.layout.Sum {
			err = errors.New("the file changed while in use")
		}
		yield(shard.Value{Text: text}, err)
	}
}

// Read reads all of a text file of at most so many bytes.
func (c Compression) Read(path string, most int64) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", shard.ReadError{Err: err}
	}
	text, _, err := c.read(path, info.Size(), most)
	return text, err
}

// ReadBytes reads all of a file of at most so many bytes, whether they are UTF-8 or not.
func (c Compression) ReadBytes(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, shard.ReadError{Err: err}
	}
	var b bytes.Buffer
	b.Grow(int(min(info.Size(), most)) + bytes.MinRead) // which it wants to have left
	_, _, _, err = c.copyBytes(&b, path, most)
	return b.Bytes(), err
}

// read is a file's text and SHA-256. Its memory is taken once, where its length is known.
func (c Compression) read(path string, length, most int64) (string, [sha256.Size]byte, error) {
	var b strings.Builder
	b.Grow(int(min(length, most)))
	_, _, sum, err := c.copy(&b, path, most)
	return b.String(), sum, err
}

// copy writes a file's text, and gives its length, its size on the disk and its SHA-256.
func (c Compression) copy(to io.Writer, path string, most int64) (n, size int64, sum [sha256.Size]byte, err error) {
	checked := &utf8Writer{to: to}
	n, size, sum, err = c.copyBytes(checked, path, most)
	if checked.bad || err == nil && len(checked.left) > 0 {
		err = errors.New("not a UTF-8 text file")
	}
	return n, size, sum, err
}

// copyBytes is copy of a file whose bytes are not looked at.
func (c Compression) copyBytes(to io.Writer, path string, most int64) (n, size int64, sum [sha256.Size]byte,
	err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, sum, shard.ReadError{Err: err}
	}
	defer f.Close()
	hash := sha256.New()
	disk := &diskReader{r: f}
	r, err := c.NewReader(io.TeeReader(disk, hash))
	if err != nil {
		return 0, 0, sum, firstOf(disk.err, fmt.Errorf("not readable: %w", err))
	}
	defer r.Close()
	n, err = io.Copy(to, io.LimitReader(r, most+1))
	switch {
	case err != nil:
		return 0, 0, sum, firstOf(disk.err, fmt.Errorf("not readable: %w", err))
	case n > most:
		return 0, 0, sum,
			fmt.Errorf("a text of more than the %d bytes that are allowed; allow longer ones, or split it", most)
	}
	info, err := f.Stat()
	if err != nil {
		return 0, 0, sum, shard.ReadError{Err: err}
	}
	return n, info.Size(), [sha256.Size]byte(hash.Sum(nil)), nil
}

// utf8Writer passes UTF-8 on and refuses everything else.
type utf8Writer struct {
	to   io.Writer
	left []byte // of a character whose end has not come yet
	bad  bool
}

func (w *utf8Writer) Write(p []byte) (int, error) {
	rest := p
	for len(w.left) > 0 && len(rest) > 0 && !utf8.FullRune(w.left) {
		w.left, rest = append(w.left, rest[0]), rest[1:]
	}
	end := len(rest)
	for i := 1; i < utf8.UTFMax && i <= len(rest); i++ {
		if last := rest[len(rest)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				end -= i
			}
			break
		}
	}
	if utf8.FullRune(w.left) {
		if w.bad = !utf8.Valid(w.left); !w.bad {
			w.left = w.left[:0]
		}
	}
	if w.bad = w.bad || !utf8.Valid(rest[:end]); w.bad {
		return 0, errors.New("not UTF-8")
	}
	w.left = append(w.left, rest[end:]...)
	return w.to.Write(p)
}
