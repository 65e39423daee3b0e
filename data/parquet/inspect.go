package parquet

import (
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v17/parquet"

	"steplm/data/inspect"
	"steplm/data/internal/shard"
)

// inspector tells an Inspector what Parquet files hold.
type inspector struct{ *inspect.Inspector }

// Inspect adds a file's footer and rows. What is damaged or not there is told in Missing.
func (Format) Inspect(path string, to *inspect.Inspector) error {
	in := inspector{to}
	f, err := openFile(path)
	if errors.As(err, new(shard.Damage)) {
		in.Miss("%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	err = guard(func() error { return in.footer(f) })
	if err == nil {
		err = guard(func() error { return in.rows(f) })
	}
	if errors.As(err, new(shard.ReadError)) {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		in.Miss("%s: %v", path, err)
	}
	return nil
}

// footer adds what a footer says.
func (in inspector) footer(f *columnFile) error {
	meta := f.reader.MetaData()
	info := inspect.FileInfo{Path: f.path, Bytes: f.size, Rows: meta.NumRows, RowGroups: f.reader.NumRowGroups(),
		Writer: meta.GetCreatedBy()}
	for c := range meta.Schema.NumColumns() {
		leaf := meta.Schema.Column(c)
		typ := leaf.PhysicalType().String()
		if l := leaf.LogicalType(); l != nil && l.IsValid() && l.String() != "None" {
			typ += " (" + l.String() + ")"
		}
		name := leaf.Path()
		k := in.Column(name, typ)
		k.Files++
		for g := range info.RowGroups {
			chunk, err := meta.RowGroup(g).ColumnChunk(c)
			if err != nil {
				return fmt.Errorf("row group %d, column %q: %w", g, name, err)
			}
			k.Codec(chunk.Compression().String())
			k.Compressed += chunk.TotalCompressedSize()
			k.Uncompressed += chunk.TotalUncompressedSize()
		}
	}
	in.File(info)
	return nil
}

// rows reads a file's row groups, whole ones, until as many rows are read as the
// options ask for.
func (in inspector) rows(f *columnFile) error {
	type column struct {
		name  string
		index int
		read  func(f *columnFile, group, column int) error
	}
	var columns []column
	for _, c := range []column{{name: in.Options.Column, read: in.texts}, {name: shard.ScoreColumn, read: in.scores},
		{name: shard.LanguageColumn, read: in.language}} {
		leaf, err := f.leaf(c.name)
		if err == nil {
			if t := leaf.PhysicalType(); c.name == shard.ScoreColumn && !numeric(t) || c.name != shard.ScoreColumn &&
				t != parquet.Types.ByteArray {
				err = fmt.Errorf("column %q has type %s", c.name, t)
			}
		}
		if err != nil {
			in.Miss("%s: %v", f.path, err)
			continue
		}
		c.index = f.reader.MetaData().Schema.ColumnIndexByName(c.name)
		columns = append(columns, c)
	}
	for g := range f.reader.NumRowGroups() {
		if in.Enough() {
			return nil
		}
		group := f.reader.MetaData().RowGroup(g)
		for _, c := range columns {
			chunk, err := group.ColumnChunk(c.index)
			if err == nil {
				err = f.checkChunk(chunk, group.NumRows(), false)
			}
			if err == nil {
				err = c.read(f, g, c.index)
			}
			if errors.As(err, new(shard.ReadError)) {
				return err
			}
			if err != nil {
				in.Miss("%s: row group %d, column %q: %v", f.path, g, c.name, err)
			}
		}
		in.RowsRead += group.NumRows()
	}
	return nil
}

func (in inspector) texts(f *columnFile, group, column int) error {
	f.column = column
	for v, err := range f.values(group) {
		if err != nil {
			return err
		}
		if v.Dropped == shard.NoText {
			in.Nulls++
			continue
		}
		if err := in.Text(v.Text); err != nil {
			return err
		}
	}
	return nil
}

func (in inspector) scores(f *columnFile, group, column int) error {
	return f.numbers(group, column, func(v float64, null bool) {
		if !null {
			in.Score(v)
		}
	})
}

func (in inspector) language(f *columnFile, group, column int) error {
	for v, err := range cells[parquet.ByteArray](f, group, column) {
		if err != nil {
			return err
		}
		if v.null {
			in.Language(inspect.NoLanguage)
		} else {
			in.Language(string(v.value))
		}
	}
	return nil
}
