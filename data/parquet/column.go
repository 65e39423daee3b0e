package parquet

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/metadata"
	"github.com/apache/arrow/go/v17/parquet/schema"

	"steplm/data/internal/shard"
)

// batchRows is how many values are decoded at a time: enough to make the call
// cheap, few enough that their copies are small beside the page.
const batchRows = 64

// maxPageHeader bounds a page's header, which holds statistics and so, from
// some writers, two whole documents.
const maxPageHeader = 1 << 20

// Format reads Parquet. One page of one column is held in memory at a
// time, whatever the size of the row groups.
type Format struct{}

func (Format) Scan(path string, o shard.Ask) (shard.Layout, error) {
	f, err := openColumn(path, o.Column, o.Filter)
	if err != nil {
		return shard.Layout{}, err
	}
	defer f.Close()
	return f.layout(), nil
}

func (Format) Open(path string, o shard.Ask, known shard.Layout) (shard.File, error) {
	f, err := openColumn(path, o.Column, o.Filter)
	if err != nil {
		return nil, err
	}
	if now := f.layout(); now.Size != known.Size || now.Sum != known.Sum {
		f.Close()
		return nil, shard.Changed(path, now.Size, known)
	}
	return f, nil
}

func (f *columnFile) layout() shard.Layout {
	l := shard.Layout{Size: f.size, Sum: f.sum}
	for g := range f.reader.NumRowGroups() {
		l.Add(f.reader.MetaData().RowGroup(g).NumRows())
	}
	return l
}

func (f *columnFile) Rows(group int) iter.Seq2[shard.Value, error] {
	return func(yield func(shard.Value, error) bool) {
		reasons, err := f.reasons(group, f.filter)
		if err != nil {
			yield(shard.Value{}, fmt.Errorf("row group %d, %w", group, err))
			return
		}
		for v, err := range f.values(group) {
			if err != nil {
				err = fmt.Errorf("row group %d, column %q: %w", group,
					f.reader.MetaData().Schema.Column(f.column).Name(), err)
			} else if v.Dropped == shard.Kept && reasons != nil {
				v.Dropped = reasons[v.Row]
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// columnFile is an open Parquet file and one of its columns.
type columnFile struct {
	path    string
	file    *os.File
	reader  *file.Reader
	column  int // index among the leaves
	filter  shard.Filter
	filters map[string]int // of the columns that the filter reads, the indices likewise
	size    int64
	sum     [sha256.Size]byte // of the footer
	buffer  *bufio.Reader     // reused from chunk to chunk

	held, room int64 // bytes of a row group of objects, at most, and what is left of them; tests set held
}

func (f *columnFile) Close() error { return f.file.Close() }

// openFile opens a file and reads its footer.
func openFile(path string) (_ *columnFile, err error) {
	osFile, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := &columnFile{path: path, file: osFile, buffer: bufio.NewReaderSize(nil, maxPageHeader), held: maxHeld}
	defer func() {
		if err != nil {
			osFile.Close()
		}
	}()
	info, err := osFile.Stat()
	if err != nil {
		return nil, err
	}
	f.size = info.Size()
	if info.IsDir() {
		return nil, fmt.Errorf("%s: is a directory, not a Parquet file", path)
	}
	if f.reader, err = f.footer(); err != nil {
		if errors.As(err, new(shard.ReadError)) {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return nil, shard.Damage{Err: fmt.Errorf("%s: not a readable Parquet file (%d bytes): %w", path, f.size, err)}
	}
	return f, nil
}

// openColumn opens a file and checks what its footer says about the column and
// those that the filter reads.
func openColumn(path, column string, filter shard.Filter) (*columnFile, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	if err := guard(func() error { return f.checkColumns(column, filter) }); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func (f *columnFile) checkColumns(column string, filter shard.Filter) error {
	r := f.reader
	leaf, err := f.leaf(column)
	if err != nil {
		return err
	}
	if t := leaf.PhysicalType(); t != parquet.Types.ByteArray {
		return fmt.Errorf("column %q has type %s; text must be BYTE_ARRAY", column, t)
	}
	f.column = r.MetaData().Schema.ColumnIndexByName(column)
	f.filter, f.filters = filter, map[string]int{}
	total := int64(0)
	for _, name := range filter.Columns() {
		leaf, err := f.leaf(name)
		if err != nil {
			return fmt.Errorf("the filter (%s) cannot work: %w", filter, err)
		}
		if t := leaf.PhysicalType(); name == shard.LanguageColumn && t != parquet.Types.ByteArray ||
			name == shard.ScoreColumn && !numeric(t) {
			return fmt.Errorf("the filter (%s) cannot work: column %q has type %s", filter, name, t)
		}
		f.filters[name] = r.MetaData().Schema.ColumnIndexByName(name)
	}
	for g := range r.NumRowGroups() {
		rows := r.MetaData().RowGroup(g).NumRows()
		if rows < 0 || rows > math.MaxInt32 {
			return shard.Damage{Err: fmt.Errorf("row group %d: %d rows", g, rows)}
		}
		for _, name := range append(filter.Columns(), column) {
			chunk, err := r.MetaData().RowGroup(g).ColumnChunk(r.MetaData().Schema.ColumnIndexByName(name))
			if err == nil {
				err = f.checkChunk(chunk, rows, false)
			}
			if err != nil {
				return shard.Damage{Err: fmt.Errorf("row group %d, column %q: %w", g, name, err)}
			}
		}
		total += rows
	}
	if n := r.NumRows(); n != total {
		return shard.Damage{Err: fmt.Errorf("the footer declares %d rows, its row groups %d", n, total)}
	}
	return nil
}

// leaf finds a column of one value per row.
func (f *columnFile) leaf(name string) (*schema.Column, error) {
	sc := f.reader.MetaData().Schema
	root := sc.Root()
	if root.FieldIndexByName(name) < 0 {
		names := make([]string, root.NumFields())
		for i := range names {
			names[i] = root.Field(i).Name()
		}
		return nil, fmt.Errorf("no column %q; the file has %s", name, strings.Join(names, ", "))
	}
	var places []string
	for i := range root.NumFields() {
		if root.Field(i).Name() == name {
			places = append(places, fmt.Sprint(i+1))
		}
	}
	if len(places) > 1 {
		return nil, fmt.Errorf("columns %s of %d are all called %q; give the one that is meant a name of its own",
			strings.Join(places, " and "), root.NumFields(), name)
	}
	i := sc.ColumnIndexByName(name)
	if i < 0 {
		return nil, fmt.Errorf("column %q is a group, not text", name)
	}
	leaf := sc.Column(i)
	if leaf.MaxRepetitionLevel() != 0 || leaf.MaxDefinitionLevel() > 1 {
		return nil, fmt.Errorf("column %q is a list; text must be one value per row", name)
	}
	return leaf, nil
}

func numeric(t parquet.Type) bool {
	n, err := valueBits(t)
	return err == nil && n >= 32
}

// footer reads the footer.
func (f *columnFile) footer() (r *file.Reader, err error) {
	return r, guard(func() error {
		if err := f.checkFooter(); err != nil {
			return err
		}
		var err error
		r, err = file.NewParquetReader(f.file)
		return err
	})
}

// maxFooter bounds a footer, in bytes: far above a hundred thousand row groups.
const maxFooter = 256 << 20

// checkFooter walks the footer's structure before Arrow does, which would
// allocate the lists and strings that it claims to hold.
func (f *columnFile) checkFooter() error {
	end := make([]byte, 8) // the footer's size and the magic bytes
	if f.size < int64(len(end))+4 {
		return errors.New("it is too short")
	}
	if _, err := f.file.ReadAt(end, f.size-int64(len(end))); err != nil {
		return shard.ReadError{Err: err}
	}
	if string(end[4:]) != "PAR1" {
		return nil // Arrow says what it is instead
	}
	size := int64(binary.LittleEndian.Uint32(end))
	if size > f.size-int64(len(end))-4 || size > maxFooter {
		return fmt.Errorf("its footer claims %d bytes", size)
	}
	footer := make([]byte, size)
	if _, err := f.file.ReadAt(footer, f.size-int64(len(end))-size); err != nil {
		return shard.ReadError{Err: err}
	}
	if err := walkFooter(footer); err != nil {
		return fmt.Errorf("its footer is damaged: %w", err)
	}
	f.sum = sha256.Sum256(footer)
	return nil
}

// checkChunk compares a column chunk's metadata with the file and the row group. A row of what is repeated has as many
// values as its list, and one where that is empty.
func (f *columnFile) checkChunk(c *metadata.ColumnChunkMetaData, rows int64, repeated bool) error {
	if c.CryptoMetadata() != nil {
		return errors.New("the column is encrypted")
	}
	if c.NumValues() != rows && (c.NumValues() < rows || !repeated) {
		return fmt.Errorf("%d values for %d rows", c.NumValues(), rows)
	}
	start, n := chunkStart(c), c.TotalCompressedSize()
	if start < 0 || n < 0 || start > f.size || n > f.size-start {
		return fmt.Errorf("bytes %d to %d lie outside the file's %d", start, start+n, f.size)
	}
	return nil
}

// chunkStart is the offset of a chunk's first page. Some writers declare a
// dictionary at offset 0, meaning that there is none.
func chunkStart(c *metadata.ColumnChunkMetaData) int64 {
	start := c.DataPageOffset()
	if d := c.DictionaryPageOffset(); c.HasDictionaryPage() && d > 0 && d < start {
		start = d
	}
	return start
}

// values yields the text column's values in one row group.
func (f *columnFile) values(group int) iter.Seq2[shard.Value, error] {
	return func(yield func(shard.Value, error) bool) {
		row := int64(0)
		for c, err := range cells[parquet.ByteArray](f, group, f.column) {
			v := shard.Value{Row: row, Text: string(c.value)} // a copy: the value lies in the page's memory
			if c.null {
				v.Dropped = shard.NoText
			}
			if err == nil && !utf8.ValidString(v.Text) {
				err = fmt.Errorf("row %d is not UTF-8 text", row)
			}
			if !yield(v, err) || err != nil {
				return
			}
			row++
		}
	}
}

// cell is a column's value in one row. Byte arrays lie in the page's memory.
type cell[T any] struct {
	value T
	null  bool
}

// cells yields a column's values in one row group: as many as that has rows, or
// an error at the end.
func cells[T any](f *columnFile, group, column int) iter.Seq2[cell[T], error] {
	return func(yield func(cell[T], error) bool) {
		var chunk chunkReader[T]
		var source *pages
		var rows int64
		err := guard(func() (err error) {
			rows = f.reader.MetaData().RowGroup(group).NumRows()
			var reader file.ColumnChunkReader
			if reader, source, err = f.chunk(group, column); err == nil {
				chunk = reader.(chunkReader[T]) // the footer's check says so
			}
			return err
		})
		if err != nil {
			yield(cell[T]{}, err)
			return
		}
		optional := chunk.Descriptor().MaxDefinitionLevel() == 1
		values := make([]T, batchRows)
		levels := make([]int16, batchRows)
		for row := int64(0); row < rows; {
			var n int64
			err := guard(func() (err error) {
				n, _, err = chunk.ReadBatch(batchRows, values, levels, nil)
				// A failed page ends the batch without an error of its own.
				return cmp.Or(err, source.err, chunk.Err())
			})
			if err == nil && n == 0 {
				err = errors.New("the data ends early")
			}
			if err != nil {
				yield(cell[T]{}, fmt.Errorf("after row %d of %d: %w", row, rows, err))
				return
			}
			next := values
			for i := range n {
				c := cell[T]{null: optional && levels[i] == 0}
				if !c.null {
					c.value, next = next[0], next[1:]
				}
				if !yield(c, nil) {
					return
				}
			}
			row += n
		}
	}
}

// chunk makes the reader of one row group's column.
func (f *columnFile) chunk(group, column int) (file.ColumnChunkReader, *pages, error) {
	meta, err := f.reader.MetaData().RowGroup(group).ColumnChunk(column)
	if err != nil {
		return nil, nil, err
	}
	descr := f.reader.MetaData().Schema.Column(column)
	size, err := valueBits(descr.PhysicalType())
	if err != nil {
		return nil, nil, err
	}
	codec, err := codecOf(meta.Compression())
	if err != nil {
		return nil, nil, err
	}
	f.buffer.Reset(io.NewSectionReader(f.file, chunkStart(meta), meta.TotalCompressedSize()))
	p := &pages{
		source: f.buffer, bytes: meta.TotalCompressedSize(), values: meta.NumValues(),
		repetition: descr.MaxRepetitionLevel(), definition: descr.MaxDefinitionLevel(),
		typ: descr.PhysicalType(), bits: size, kind: meta.Compression(), codec: codec,
	}
	return file.NewColumnReader(descr, p, memory.NewGoAllocator(), f.reader.BufferPool()), p, nil
}

// valueBits is the size of a plain value in bits, 0 for byte arrays.
func valueBits(t parquet.Type) (int64, error) {
	switch t {
	case parquet.Types.ByteArray:
		return 0, nil
	case parquet.Types.Boolean:
		return 1, nil
	case parquet.Types.Int32, parquet.Types.Float:
		return 32, nil
	case parquet.Types.Int64, parquet.Types.Double:
		return 64, nil
	}
	return 0, unread{fmt.Errorf("values of type %s, which is not read", t)}
}

// guard runs f and turns a panic into an error: Arrow and its codecs panic on
// damaged files.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the data is damaged: %v", r)
		}
	}()
	return f()
}
