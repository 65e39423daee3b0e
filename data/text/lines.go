package text

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	"steplm/data/internal/shard"
)

const (
	// linesPerGroup and bytesPerGroup end a row group of a file that is not
	// compressed, whichever comes first.
	linesPerGroup = 1000
	bytesPerGroup = 8 << 20
)

// Lines reads JSON Lines: an object a line, of which the text is one
// field. Every line is a row; one that is blank or without the field has no text.
// A row group is some lines that follow each other; a compressed file is one,
// since it can only be read from its beginning.
type Lines struct{ Compression }

func (k Lines) Scan(path string, o shard.Ask) (shard.Layout, error) {
	l, err := k.scan(path, o.Longest(), func(line []byte) error { return firstLine(line, o) })
	if err != nil {
		if !errors.As(err, new(shard.ReadError)) && !errors.As(err, new(shard.Request)) {
			err = shard.Damage{Err: err}
		}
		return shard.Layout{}, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// scan reads a file of lines of so many bytes at most, and has the first one checked.
func (k Lines) scan(path string, most int64, check func(first []byte) error) (l shard.Layout, err error) {
	var start, at, lines int64
	cut := func() {
		l.Add(lines)
		l.Offsets = append(l.Offsets, start)
		start, lines = at, 0
	}
	hash := sha256.New()
	r := lineReader{path: path, compression: k.Compression, most: most, hash: hash, skip: true}
	first := false // whether the first line was looked at
	err = r.each(func(line []byte, size int64) error {
		l.Longest = max(l.Longest, size)
		if at == 0 && line != nil {
			first = true
			if err := check(line); err != nil {
				return fmt.Errorf("line 1: %w", err)
			}
		}
		at += size
		lines++
		if k.Compression == Plain && (lines == linesPerGroup || at-start >= bytesPerGroup) {
			cut()
		}
		return nil
	})
	if err != nil {
		return l, err
	}
	if at > 0 && !first {
		r = lineReader{path: path, compression: k.Compression, most: most, longest: l.Longest}
		err = r.each(func(line []byte, _ int64) error { return cmp.Or(check(line), errEnough) })
		if err != errEnough {
			return l, fmt.Errorf("line 1: %w", err)
		}
	}
	if lines > 0 {
		cut()
	}
	info, err := os.Stat(path)
	if err != nil {
		return l, err
	}
	l.Size, l.Sum = info.Size(), [sha256.Size]byte(hash.Sum(nil))
	return l, nil
}

// firstLine refuses a file without the fields that are asked for.
func firstLine(line []byte, o shard.Ask) error {
	fields, err := parseObject(line)
	if err != nil {
		return nil // its row says so
	}
	for i, name := range append([]string{o.Column}, o.Filter.Columns()...) {
		if slices.Contains(fields.names(), name) {
			continue
		}
		err := fmt.Errorf("no field %q; the line has %s", name, strings.Join(fields.names(), ", "))
		if i > 0 {
			err = fmt.Errorf("the filter (%s) cannot work: %w", o.Filter, err)
		}
		return shard.Request{Err: err}
	}
	return nil
}

// errEnough ends a reading before the file does.
var errEnough = errors.New("enough")

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
		r := lineReader{path: f.path, compression: f.format.Compression, offset: f.layout.Offsets[group],
			most: f.options.Longest(), longest: f.layout.Longest}
		err := r.each(func(line []byte, _ int64) error {
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
				return errEnough
			}
			return nil
		})
		switch {
		case err == errEnough:
		case err != nil:
			yield(shard.Value{}, err)
		case row < rows:
			yield(shard.Value{}, fmt.Errorf("the file changed while in use: it ends at line %d, had %d or more",
				first+row, first+rows))
		}
	}
}

// value reads a line.
func (f *linesFile) value(line []byte) (v shard.Value, err error) {
	if len(bytes.TrimSpace(line)) == 0 {
		return shard.Value{Dropped: shard.NoText}, nil
	}
	fields, err := parseObject(line)
	if err != nil {
		return v, err
	}
	found := false
	if v.Text, found, err = fields.text(f.options.Column); err != nil {
		return v, err
	}
	if !found {
		v.Dropped = shard.NoText
		return v, nil
	}
	filter := f.options.Filter
	if filter.MinScore != nil {
		score, found, err := fields.number(shard.ScoreColumn)
		if err != nil {
			return v, err
		}
		if !found || !(score >= *filter.MinScore) {
			v.Dropped = shard.LowScore
		}
	}
	if len(filter.Languages) > 0 && v.Dropped == shard.Kept {
		code, found, err := fields.text(shard.LanguageColumn)
		if err != nil {
			return v, err
		}
		if !found || !slices.Contains(filter.Languages, code) {
			v.Dropped = shard.Language
		}
	}
	return v, nil
}
