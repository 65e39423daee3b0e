package text

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"steplm/data/inspect"
	"steplm/data/internal/shard"
)

// maxTold is how many damaged lines of a file are told one by one.
const maxTold = 10

// Inspect adds a file's lines and their fields. What is damaged or not there is told in
// Missing.
func (k Lines) Inspect(path string, in *inspect.Inspector) error {
	l, err := k.scan(path, shard.DefaultMaxLine, func([]byte) error { return nil })
	if err != nil {
		return missed(path, err, in)
	}
	in.File(inspect.FileInfo{Path: path, Bytes: l.Size, Rows: l.Rows(), RowGroups: len(l.Groups)})
	found, row, bad := map[string]string{}, 0, 0 // the types by which fields' columns are known
	r := lineReader{path: path, compression: k.Compression, most: shard.DefaultMaxLine, longest: l.Longest}
	err = r.each(func(line []byte, _ int64) error {
		if in.Enough() {
			return errEnough
		}
		row++
		in.RowsRead++
		if len(bytes.TrimSpace(line)) == 0 {
			in.Nulls++
			return nil
		}
		fields, err := parseObject(line)
		if err == nil {
			err = k.inspectFields(fields, in, found)
		}
		if err != nil {
			if bad++; bad <= maxTold {
				in.Miss("%s: line %d: %v", path, row, err)
			}
		}
		return nil
	})
	if err != nil && err != errEnough {
		return missed(path, err, in)
	}
	if bad > maxTold {
		in.Miss("%s: %d more lines likewise", path, bad-maxTold)
	}
	for _, name := range []string{in.Options.Column, shard.ScoreColumn, shard.LanguageColumn} {
		if found[name] == "" && row > bad {
			in.Miss("%s: no field %q", path, name)
		}
	}
	return nil
}

// inspectFields adds a line's fields.
func (k Lines) inspectFields(fields object, in *inspect.Inspector, found map[string]string) error {
	for _, f := range fields {
		typ := typeOf(f)
		if typ == "null" {
			continue
		}
		column := in.Column(f.name, typ)
		if found[f.name] != typ {
			found[f.name] = typ
			column.Files++
			column.Codec(k.Compression.String())
		}
		column.Uncompressed += int64(len(f.raw))
	}
	text, isThere, err := fields.text(in.Options.Column)
	if err != nil {
		return err
	}
	if isThere {
		if err := in.Text(text); err != nil {
			return err
		}
	} else {
		in.Nulls++
	}
	score, isThere, err := fields.number(shard.ScoreColumn)
	if isThere {
		in.Score(score)
	}
	if err != nil {
		return err
	}
	language, isThere, err := fields.text(shard.LanguageColumn)
	if err == nil && !isThere && found[shard.LanguageColumn] != "" {
		language, isThere = inspect.NoLanguage, true
	}
	if isThere {
		in.Language(language)
	}
	return err
}

// typeOf is JSON's name of a value's type.
func typeOf(f field) string {
	switch f.raw[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	case '[':
		if !f.nan {
			return "array"
		}
	}
	return "number"
}

// Inspect adds a file's text. What is damaged is told in Missing.
func (k Whole) Inspect(path string, in *inspect.Inspector) error {
	if in.Options.Column != shard.TextColumn {
		in.Miss("%s: no column %q: a text file has no columns", path, in.Options.Column)
	}
	length, size, _, err := k.copy(io.Discard, path, shard.DefaultMaxLine)
	if err != nil {
		return missed(path, err, in)
	}
	f := inspect.FileInfo{Path: path, Bytes: size}
	if length > 0 {
		f.Rows, f.RowGroups = 1, 1
	}
	in.File(f)
	if length == 0 || in.Enough() || in.Options.Column != shard.TextColumn {
		return nil
	}
	text, _, err := k.read(path, length, shard.DefaultMaxLine)
	if err != nil {
		return missed(path, err, in)
	}
	column := in.Column(shard.TextColumn, "text")
	column.Files++
	column.Codec(k.Compression.String())
	column.Uncompressed += length
	in.RowsRead++
	return in.Text(text)
}

// missed tells of a file that cannot be read, unless the disk is to blame.
func missed(path string, err error, in *inspect.Inspector) error {
	if errors.As(err, new(shard.ReadError)) {
		return fmt.Errorf("%s: %w", path, err)
	}
	in.Miss("%s: %v", path, err)
	return nil
}
