package text

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"steplm/data/internal/shard"
)

const (
	// linesPerGroup and bytesPerGroup end a row group of a file that is not
	// compressed, whichever comes first.
	linesPerGroup = 1000
	bytesPerGroup = 8 << 20
	// maxLine bounds a line and a text file, in bytes, as data/parquet does a page.
	maxLine = 256 << 20
)

// Compression is how a whole file is compressed.
type Compression int

const (
	Plain Compression = iota
	Gzipped
	Zstandard
)

// reader decompresses.
func (c Compression) reader(r io.Reader) (io.ReadCloser, error) {
	switch c {
	case Gzipped:
		return gzip.NewReader(r)
	case Zstandard:
		d, err := zstd.NewReader(r)
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

// Lines reads JSON Lines: an object a line, of which the text is one
// field. Every line is a row; one that is blank or without the field has no text.
// A row group is some lines that follow each other; a compressed file is one,
// since it can only be read from its beginning.
type Lines struct{ Compression }

func (k Lines) Scan(path string, o shard.Ask) (shard.Layout, error) {
	var l shard.Layout
	var start, at, lines int64
	cut := func() {
		l.Add(lines)
		l.Offsets = append(l.Offsets, start)
		start, lines = at, 0
	}
	n := int64(0)
	sum, err := k.eachLine(path, 0, func(line []byte, size int64) error {
		at += size
		lines++
		if n++; n == 1 {
			if err := firstLine(line, o); err != nil {
				return fmt.Errorf("line 1: %w", err)
			}
		}
		if k.Compression == Plain && (lines == linesPerGroup || at-start >= bytesPerGroup) {
			cut()
		}
		return nil
	})
	if err != nil {
		if !errors.As(err, new(shard.ReadError)) && !errors.As(err, new(shard.Request)) {
			err = shard.Damage{Err: err}
		}
		return shard.Layout{}, fmt.Errorf("%s: %w", path, err)
	}
	if lines > 0 {
		cut()
	}
	info, err := os.Stat(path)
	if err != nil {
		return shard.Layout{}, err
	}
	l.Size, l.Sum = info.Size(), sum
	return l, nil
}

// firstLine refuses a file without the fields that are asked for.
func firstLine(line []byte, o shard.Ask) error {
	fields, err := object(line)
	if err != nil {
		return nil // its row says so
	}
	for i, name := range append([]string{o.Column}, o.Filter.Columns()...) {
		if _, ok := fields[name]; ok {
			continue
		}
		err := fmt.Errorf("no field %q; the line has %s", name, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		if i > 0 {
			err = fmt.Errorf("the filter (%s) cannot work: %w", o.Filter, err)
		}
		return shard.Request{Err: err}
	}
	return nil
}

// object reads the fields of a line.
func object(line []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("not UTF-8 text")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, fmt.Errorf("not a JSON object: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if fields == nil {
		return nil, errors.New("not a JSON object: null")
	}
	return fields, nil
}

// eachLine calls do with every line from an offset on, without its line break,
// and with the bytes that it takes in the file with it. It returns the file's
// SHA-256, from that offset.
func (c Compression) eachLine(path string, offset int64,
	do func(line []byte, size int64) error) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, shard.ReadError{Err: err}
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return sum, shard.ReadError{Err: err}
	}
	hash := sha256.New()
	disk := &diskReader{r: f}
	source := io.TeeReader(disk, hash)
	decompressed, err := c.reader(source)
	if err != nil {
		return sum, firstOf(disk.err, fmt.Errorf("not readable: %w", err))
	}
	defer decompressed.Close()
	r := bufio.NewReaderSize(decompressed, 1<<18)
	var long []byte // of a line beyond the buffer
	for n := int64(1); ; n++ {
		long = long[:0]
		line, err := r.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			if long = append(long, line...); len(long) > maxLine {
				return sum, fmt.Errorf("line %d is longer than %d bytes", n, maxLine)
			}
			line, err = r.ReadSlice('\n')
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		if err != nil && err != io.EOF {
			return sum, firstOf(disk.err, fmt.Errorf("after %d lines: %w", n-1, err))
		}
		if len(line) > 0 {
			if e := do(bytes.TrimRight(line, "\r\n"), int64(len(line))); e != nil {
				return sum, e
			}
		}
		if err == io.EOF {
			return [sha256.Size]byte(hash.Sum(nil)), nil
		}
	}
}

// diskReader remembers what the disk refused, which is not the data's fault.
type diskReader struct {
	r   io.Reader
	err error
}

func (d *diskReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && err != io.EOF {
		d.err = shard.ReadError{Err: err}
	}
	return n, err
}

// firstOf is the disk's error, if it has one.
func firstOf(disk, other error) error {
	if disk != nil {
		return disk
	}
	return other
}

func (k Lines) Open(path string, o shard.Ask, known shard.Layout) (shard.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() != known.Size {
		return nil, shard.Changed(path, info.Size(), known)
	}
	return &linesFile{path: path, format: k, options: o, layout: known}, nil
}

// linesFile is a JSON Lines file.
type linesFile struct {
	path    string
	format  Lines
	options shard.Ask
	layout  shard.Layout
}

func (f *linesFile) Close() error { return nil }

func (f *linesFile) Rows(group int) iter.Seq2[shard.Value, error] {
	return func(yield func(shard.Value, error) bool) {
		first := f.layout.Firsts[group]
		row, rows := int64(0), f.layout.Groups[group]
		stop := errors.New("enough")
		_, err := f.format.eachLine(f.path, f.layout.Offsets[group], func(line []byte, _ int64) error {
			v, err := f.value(line)
			v.Row = row
			if err != nil {
				if err = fmt.Errorf("line %d: %w", first+row+1, err); !f.options.SkipBad {
					return err
				}
				v = shard.Value{Row: row, Dropped: shard.Skipped, Damage: err}
			}
			row++
			if !yield(v, nil) || row == rows {
				return stop
			}
			return nil
		})
		switch {
		case err == stop:
		case err != nil:
			yield(shard.Value{}, err)
		case row < rows:
			yield(shard.Value{}, fmt.Errorf("the file changed while in use: it ends at line %d, had %d or more",
				first+row, first+rows))
		}
	}
}

// value reads a line.
func (f *linesFile) value(line []byte) (shard.Value, error) {
	if len(bytes.TrimSpace(line)) == 0 {
		return shard.Value{Dropped: shard.NoText}, nil
	}
	fields, err := object(line)
	if err != nil {
		return shard.Value{}, err
	}
	var v shard.Value
	field := func(name string, to any) (found bool, err error) {
		raw, ok := fields[name]
		if !ok || string(raw) == "null" {
			return false, nil
		}
		if err := json.Unmarshal(raw, to); err != nil {
			return false, fmt.Errorf("field %q: %s", name, strings.TrimPrefix(err.Error(), "json: "))
		}
		return true, nil
	}
	found, err := field(f.options.Column, &v.Text)
	if err != nil {
		return v, err
	}
	if !found {
		v.Dropped = shard.NoText
		return v, nil
	}
	filter := f.options.Filter
	if filter.MinScore != nil {
		var score float64
		found, err := field(shard.ScoreColumn, &score)
		if err != nil {
			return v, err
		}
		if !found || !(score >= *filter.MinScore) {
			v.Dropped = shard.LowScore
		}
	}
	if len(filter.Languages) > 0 && v.Dropped == shard.Kept {
		var code string
		found, err := field(shard.LanguageColumn, &code)
		if err != nil {
			return v, err
		}
		if !found || !slices.Contains(filter.Languages, code) {
			v.Dropped = shard.Language
		}
	}
	return v, nil
}
