package parquet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"

	"steplm/data/internal/shard"
)

const (
	// maxValues bounds the values of a column in a row group of objects, which are held at once: a run of nulls takes a
	// few bytes of a file.
	maxValues = 1 << 24
	// maxHeld bounds all values of a row group of objects, in bytes: a text of a dictionary that comes again and again
	// takes as few.
	maxHeld = 4 << 30
	// valueBytes and levelBytes are what a value takes besides a text's bytes, and the levels of one or of a null.
	valueBytes, levelBytes = 32, 4
)

// Fields are the names of a file's columns, of lists and groups as a whole, in their order, and how many rows it has.
func Fields(path string) (names []string, rows int64, err error) {
	f, err := openFile(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	root := f.reader.MetaData().Schema.Root()
	for i := range root.NumFields() {
		names = append(names, root.Field(i).Name())
	}
	return names, f.reader.NumRows(), nil
}

// unread is why a sound file is not read by this program: none of its rows is left out for that.
type unread struct{ error }

func (u unread) Unwrap() error { return u.error }

// Unread is why rows that follow each other cannot be read: one, or all that are left of a row group.
type Unread struct {
	Path  string
	Group int
	Rows  int64 // how many
	Err   error
}

func (u *Unread) Error() string { return fmt.Sprintf("%s: row group %d: %v", u.Path, u.Group, u.Err) }

func (u *Unread) Unwrap() error { return u.Err }

// Objects are a file's rows as JSON objects, the columns that are named, or all, in the file's order, lists and groups
// too. It is for questions and examples: a row group's columns are held whole, of 16,777,216 values each and 4 GiB in
// all at most. Of training text a page is held, see Format. A text that is no UTF-8 is an error, since JSON has no
// other. After an error that is an Unread there may be other rows, after any other the sequence ends.
func Objects(path string, columns ...string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		f, err := openFile(path)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		for i := range f.reader.NumRowGroups() {
			if !f.objects(i, columns, yield) {
				return
			}
		}
	}
}

// objects yields the rows of a row group, and says whether to go on.
func (f *columnFile) objects(group int, columns []string, yield func([]byte, error) bool) bool {
	left := f.reader.MetaData().RowGroup(group).NumRows()
	var root *part
	err := guard(func() (err error) {
		root, err = f.parts(group, columns)
		return err
	})
	for err == nil && left > 0 {
		var o object
		if err = guard(func() error { return root.write(&o) }); err != nil {
			break
		}
		left--
		more := false
		if o.bad == nil {
			more = yield(o.Bytes(), nil)
		} else {
			more = yield(nil, &Unread{f.path, group, 1, o.bad})
		}
		if !more {
			return false
		}
	}
	if errors.As(err, new(shard.ReadError)) || errors.As(err, new(unread)) {
		yield(nil, fmt.Errorf("%s: row group %d: %w", f.path, group, err))
		return false
	}
	return err == nil || yield(nil, &Unread{f.path, group, left, err})
}

// parts reads the columns of a row group that are named, or all.
func (f *columnFile) parts(group int, columns []string) (*part, error) {
	sc := f.reader.MetaData().Schema
	f.room = f.held
	wanted := func(name string) bool { return len(columns) == 0 || slices.Contains(columns, name) }
	n := 0
	next := func() (*leaf, error) {
		n++
		if at := sc.Column(n - 1).ColumnPath(); !wanted(at[0]) {
			return &leaf{}, nil
		}
		l, err := f.readLeaf(group, n-1)
		if err != nil {
			err = fmt.Errorf("column %q: %w", sc.Column(n-1).Path(), err)
		}
		return l, err
	}
	root := &part{}
	if err := root.below(sc.Root(), next); err != nil {
		return nil, err
	}
	root.parts = slices.DeleteFunc(root.parts, func(p *part) bool { return !wanted(p.name) })
	if len(root.parts) == 0 {
		return nil, fmt.Errorf("it has none of the columns %s", strings.Join(columns, ", "))
	}
	root.first = root.parts[0].first
	return root, nil
}

// leaf is the values of a column, each with its levels. Those that are null are not among them.
type leaf struct {
	defined, repeated []int16
	values            []any
	most              int16 // the level at which there is a value
	at, value         int
}

// readLeaf reads a column of a row group.
func (f *columnFile) readLeaf(group, i int) (*leaf, error) {
	descr := f.reader.MetaData().Schema.Column(i)
	rows := f.reader.MetaData().RowGroup(group)
	meta, err := rows.ColumnChunk(i)
	if err != nil {
		return nil, err
	}
	if err := f.checkChunk(meta, rows.NumRows(), descr.MaxRepetitionLevel() > 0); err != nil {
		return nil, err
	}
	if n := meta.NumValues(); n > maxValues {
		return nil, unread{fmt.Errorf("%d values in a row group; at most %d are read: write row groups of fewer rows",
			n, maxValues)}
	}
	reader, source, err := f.chunk(group, i)
	if err != nil {
		return nil, err
	}
	l := &leaf{most: descr.MaxDefinitionLevel()}
	switch c := reader.(type) {
	case *file.ByteArrayColumnChunkReader:
		err = fillLeaf(f, l, c, func(v parquet.ByteArray) any { return string(v) })
	case *file.Int32ColumnChunkReader:
		err = fillLeaf(f, l, c, func(v int32) any { return v })
	case *file.Int64ColumnChunkReader:
		err = fillLeaf(f, l, c, func(v int64) any { return v })
	case *file.BooleanColumnChunkReader:
		err = fillLeaf(f, l, c, func(v bool) any { return v })
	case *file.Float32ColumnChunkReader:
		err = fillLeaf(f, l, c, func(v float32) any { return v })
	case *file.Float64ColumnChunkReader:
		err = fillLeaf(f, l, c, func(v float64) any { return v })
	default:
		err = unread{fmt.Errorf("its type %s is none of JSON's", reader.Type())}
	}
	// A page that cannot be read ends the values without an error of its own.
	if err = cmp.Or(source.err, err, reader.Err()); err != nil {
		return nil, err
	}
	if n := int64(len(l.defined)); n != meta.NumValues() {
		return nil, fmt.Errorf("the data ends after %d of %d values", n, meta.NumValues())
	}
	return l, nil
}

// fillLeaf reads all of a column, as far as there is room for it.
func fillLeaf[T any](f *columnFile, l *leaf, column chunkReader[T], of func(T) any) error {
	values := make([]T, batchRows)
	defined, repeated := make([]int16, batchRows), make([]int16, batchRows)
	for {
		n, some, err := column.ReadBatch(batchRows, values, defined, repeated)
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
		f.room -= levelBytes * n
		for _, v := range values[:some] {
			value := of(v)
			if text, is := value.(string); is {
				f.room -= int64(len(text))
			}
			if f.room -= valueBytes; f.room < 0 {
				break
			}
			l.values = append(l.values, value)
		}
		if f.room < 0 {
			return unread{fmt.Errorf("with it the columns of the row group are more than the %d bytes that are held; "+
				"write row groups of fewer rows", f.held)}
		}
	}
}

// object is a row's JSON, and why it is none.
type object struct {
	bytes.Buffer
	bad error
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
func (p *part) write(b *object) error {
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
func (p *part) writeList(b *object) error {
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
func (p *part) writeOne(b *object) error {
	l := p.first
	switch {
	case p.own:
		if l.value >= len(l.values) {
			return fmt.Errorf("column %s has fewer values than it says", p.name)
		}
		if s, is := l.values[l.value].(string); is && !utf8.ValidString(s) {
			b.bad = cmp.Or(b.bad,
				fmt.Errorf("column %s: value %d of its row group is no UTF-8 text", p.name, l.value+1))
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
