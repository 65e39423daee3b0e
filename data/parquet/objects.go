package parquet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// Fields are the names of a file's columns, of lists and groups as a whole, in their order.
func Fields(path string) (names []string, err error) {
	err = guard(func() error {
		f, err := file.OpenParquetFile(path, false)
		if err != nil {
			return err
		}
		defer f.Close()
		root := f.MetaData().Schema.Root()
		for i := range root.NumFields() {
			names = append(names, root.Field(i).Name())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return names, nil
}

// Objects are a file's rows as JSON objects, the columns that are named, or all, in the file's order, lists and groups
// too. It is for questions and conversations: a row group's columns are held whole. Training text is read by the page,
// see Format. A text that is no UTF-8 is an error, since JSON has no other.
func Objects(path string, columns ...string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		err := guard(func() error {
			f, err := file.OpenParquetFile(path, false)
			if err != nil {
				return err
			}
			defer f.Close()
			for i := range f.NumRowGroups() {
				more, err := groupObjects(f, i, columns, yield)
				if err != nil || !more {
					return err
				}
			}
			return nil
		})
		if err != nil {
			yield(nil, fmt.Errorf("%s: %w", path, err))
		}
	}
}

// groupObjects yields the rows of a row group.
func groupObjects(f *file.Reader, i int, columns []string, yield func([]byte, error) bool) (more bool, err error) {
	group := f.RowGroup(i)
	wanted := func(name string) bool { return len(columns) == 0 || slices.Contains(columns, name) }
	n := 0
	next := func() (*leaf, error) {
		n++
		if at := f.MetaData().Schema.Column(n - 1).ColumnPath(); !wanted(at[0]) {
			return &leaf{}, nil
		}
		return readLeaf(group, n-1)
	}
	root := &part{}
	if err := root.below(f.MetaData().Schema.Root(), next); err != nil {
		return false, err
	}
	root.parts = slices.DeleteFunc(root.parts, func(p *part) bool { return !wanted(p.name) })
	if len(root.parts) == 0 {
		return false, fmt.Errorf("it has none of the columns %s", strings.Join(columns, ", "))
	}
	root.first = root.parts[0].first
	for range group.NumRows() {
		var b bytes.Buffer
		if err := root.write(&b); err != nil {
			return false, err
		}
		if !yield(b.Bytes(), nil) {
			return false, nil
		}
	}
	return true, nil
}

// leaf is the values of a column, each with its levels. Those that are null are not among them.
type leaf struct {
	defined, repeated []int16
	values            []any
	most              int16 // the level at which there is a value
	at, value         int
}

// readLeaf reads a column of a row group.
func readLeaf(g *file.RowGroupReader, i int) (*leaf, error) {
	column, err := g.Column(i)
	if err != nil {
		return nil, err
	}
	l := &leaf{most: column.Descriptor().MaxDefinitionLevel()}
	switch c := column.(type) {
	case *file.ByteArrayColumnChunkReader:
		err = fillLeaf(l, c.ReadBatch, func(v parquet.ByteArray) any { return string(v) })
	case *file.Int32ColumnChunkReader:
		err = fillLeaf(l, c.ReadBatch, func(v int32) any { return v })
	case *file.Int64ColumnChunkReader:
		err = fillLeaf(l, c.ReadBatch, func(v int64) any { return v })
	case *file.BooleanColumnChunkReader:
		err = fillLeaf(l, c.ReadBatch, func(v bool) any { return v })
	case *file.Float32ColumnChunkReader:
		err = fillLeaf(l, c.ReadBatch, func(v float32) any { return v })
	case *file.Float64ColumnChunkReader:
		err = fillLeaf(l, c.ReadBatch, func(v float64) any { return v })
	default:
		err = fmt.Errorf("its type %s is none of JSON's", column.Type())
	}
	if err == nil && column.Err() != nil {
		err = column.Err()
	}
	if err != nil {
		err = fmt.Errorf("column %s: %w", column.Descriptor().Path(), err)
	}
	return l, err
}

// fillLeaf reads all of a column.
func fillLeaf[T any](l *leaf, read func(int64, []T, []int16, []int16) (int64, int, error), of func(T) any) error {
	values := make([]T, 1024)
	defined, repeated := make([]int16, len(values)), make([]int16, len(values))
	for {
		n, some, err := read(int64(len(values)), values, defined, repeated)
		if err != nil || n == 0 {
			return err
		}
		for i := range int(n) { // columns that are never null or a list have no levels
			d, r := l.most, int16(0)
			if l.most > 0 {
				d, r = defined[i], repeated[i]
			}
			l.defined, l.repeated = append(l.defined, d), append(l.repeated, r)
		}
		for _, v := range values[:some] {
			l.values = append(l.values, of(v))
		}
	}
}

// part writes a node of the schema, row after row.
type part struct {
	name              string
	parts             []*part // of a group; the one of a list's elements
	list              bool
	bare              bool  // it is written as its only part
	defined, repeated int16 // the levels at which there is one, or an element
	optional          bool
	first             *leaf // of those below it
	own               bool  // it is that leaf
}

// below adds parts for the fields of a group, in the order of its columns, of which next is the next.
func (p *part) below(group *schema.GroupNode, next func() (*leaf, error)) error {
	if group.NumFields() == 0 {
		return fmt.Errorf("group %s has no columns", group.Name())
	}
	for i := range group.NumFields() {
		n := group.Field(i)
		child := &part{name: n.Name(), defined: p.defined, repeated: p.repeated}
		switch n.RepetitionType() {
		case parquet.Repetitions.Repeated:
			child.list = true
			child.repeated++
			child.defined++
		case parquet.Repetitions.Optional:
			child.optional = true
			child.defined++
		}
		var err error
		if inner, ok := n.(*schema.GroupNode); ok {
			err = child.below(inner, next)
		} else {
			child.own = true
			child.first, err = next()
		}
		if err != nil {
			return err
		}
		p.parts = append(p.parts, child)
	}
	p.first = p.parts[0].first
	// A list is a group of one field, which repeats and is most often a group of one field too, the element.
	if inner := p.parts[0]; len(p.parts) == 1 && inner.list && group.ConvertedType() == schema.ConvertedTypes.List {
		p.bare, inner.bare = true, len(inner.parts) == 1
	}
	return nil
}

// write writes the next value.
func (p *part) write(b *bytes.Buffer) error {
	l := p.first
	if l.at >= len(l.defined) {
		return fmt.Errorf("column %s ends before its rows do", p.name)
	}
	switch {
	case p.optional && l.defined[l.at] < p.defined:
		b.WriteString("null")
		return p.skip()
	case p.list:
		return p.writeList(b)
	}
	return p.writeOne(b)
}

// writeList writes the elements that there are.
func (p *part) writeList(b *bytes.Buffer) error {
	l := p.first
	b.WriteByte('[')
	defer b.WriteByte(']')
	if l.defined[l.at] < p.defined {
		return p.skip()
	}
	for some := false; !some || l.at < len(l.defined) && l.repeated[l.at] >= p.repeated; some = true {
		if some {
			b.WriteByte(',')
		}
		if err := p.writeOne(b); err != nil {
			return err
		}
	}
	return nil
}

// writeOne writes one element, or what is no list.
func (p *part) writeOne(b *bytes.Buffer) error {
	l := p.first
	switch {
	case p.own:
		if l.value >= len(l.values) {
			return fmt.Errorf("column %s has fewer values than it says", p.name)
		}
		if s, is := l.values[l.value].(string); is && !utf8.ValidString(s) {
			return fmt.Errorf("column %s: value %d of its row group is no UTF-8 text", p.name, l.value+1)
		}
		text, err := json.Marshal(l.values[l.value])
		b.Write(text)
		l.at, l.value = l.at+1, l.value+1
		return err
	case p.bare:
		return p.parts[0].write(b)
	}
	for i, child := range p.parts {
		separator := byte(',')
		if i == 0 {
			separator = '{'
		}
		b.WriteByte(separator)
		name, err := json.Marshal(child.name)
		if err != nil {
			return err
		}
		b.Write(append(name, ':'))
		if err := child.write(b); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// skip passes over a value that is not there in all columns below.
func (p *part) skip() error {
	if p.own {
		p.first.at++
		return nil
	}
	for _, child := range p.parts {
		if child.first.at >= len(child.first.defined) {
			return fmt.Errorf("column %s ends before its rows do", child.name)
		}
		if err := child.skip(); err != nil {
			return err
		}
	}
	return nil
}
