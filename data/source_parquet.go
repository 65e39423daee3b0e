package data

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/metadata"
)

// batchRows is how many values are decoded at a time: enough to make the call
// cheap, few enough that their copies are small beside the page.
const batchRows = 64

// maxPageHeader bounds a page's header, which holds statistics and so, from
// some writers, two whole documents.
const maxPageHeader = 1 << 20

// Documents yields the texts from a position on, in file and row order, to the
// end of the last shard. Null rows are skipped and counted (Nulls); empty texts
// are yielded. One page of one column is held in memory at a time, whatever
// the size of the row groups. Text that is not UTF-8 is an error. After an
// error the sequence ends.
func (s *Shards) Documents(from Position) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		if from.Shard < 0 || from.Shard > len(s.Files) || from.Row < 0 {
			yield(Document{}, fmt.Errorf("position (shard %d, row %d) is outside the %d shards", from.Shard, from.Row, len(s.Files)))
			return
		}
		row := from.Row
		for i := from.Shard; i < len(s.Files); i++ {
			if !s.documents(i, row, yield) {
				return
			}
			row = 0
		}
	}
}

// documents yields one shard's texts from a row on, and says whether to go on.
func (s *Shards) documents(shard int, row int64, yield func(Document, error) bool) bool {
	fail := func(err error) bool {
		yield(Document{}, err)
		return false
	}
	f, err := openColumn(s.Files[shard], s.Column)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	if want := s.shards[shard]; f.size != want.size || f.rows != want.rows {
		return fail(fmt.Errorf("%s: the file changed while in use: %d bytes and %d rows, was %d bytes and %d rows",
			f.path, f.size, f.rows, want.size, want.rows))
	}
	if row > f.rows {
		return fail(fmt.Errorf("%s: row %d was asked for, but the file has %d", f.path, row, f.rows))
	}
	var first int64 // the row group's first row
	for g := range f.reader.NumRowGroups() {
		rows := f.reader.MetaData().RowGroup(g).NumRows()
		if row < first+rows {
			for v, err := range f.values(g) {
				if err != nil {
					return fail(fmt.Errorf("%s: row group %d, column %q: %w", f.path, g, s.Column, err))
				}
				if first+v.row < row {
					continue
				}
				if v.null {
					s.nulls.Add(1)
					continue
				}
				if !yield(Document{Text: v.text, Shard: shard, Row: first + v.row}, nil) {
					return false
				}
			}
		}
		first += rows
	}
	return true
}

// columnFile is an open Parquet file and one of its columns.
type columnFile struct {
	path   string
	file   *os.File
	reader *file.Reader
	column int // index among the leaves
	size   int64
	rows   int64
	buffer *bufio.Reader // reused from chunk to chunk
}

func (f *columnFile) Close() error { return f.file.Close() }

// openColumn opens a file and checks what its footer says about the column.
func openColumn(path, column string) (_ *columnFile, err error) {
	osFile, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := &columnFile{path: path, file: osFile, buffer: bufio.NewReaderSize(nil, maxPageHeader)}
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
	if err := guard(func() error { return f.readFooter(column) }); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func (f *columnFile) readFooter(column string) error {
	r, err := file.NewParquetReader(f.file)
	if err != nil {
		return fmt.Errorf("not a readable Parquet file (%d bytes): %w", f.size, err)
	}
	f.reader = r
	sc := r.MetaData().Schema
	root := sc.Root()
	field := root.FieldIndexByName(column)
	if field < 0 {
		names := make([]string, root.NumFields())
		for i := range names {
			names[i] = root.Field(i).Name()
		}
		return fmt.Errorf("no column %q; the file has %s", column, strings.Join(names, ", "))
	}
	f.column = sc.ColumnIndexByName(column)
	if f.column < 0 {
		return fmt.Errorf("column %q is a group, not text", column)
	}
	leaf := sc.Column(f.column)
	if leaf.PhysicalType() != parquet.Types.ByteArray {
		return fmt.Errorf("column %q has type %s; text must be BYTE_ARRAY", column, leaf.PhysicalType())
	}
	if leaf.MaxRepetitionLevel() != 0 || leaf.MaxDefinitionLevel() > 1 {
		return fmt.Errorf("column %q is a list; text must be one value per row", column)
	}
	for g := range r.NumRowGroups() {
		rows := r.MetaData().RowGroup(g).NumRows()
		if rows < 0 {
			return fmt.Errorf("row group %d: %d rows", g, rows)
		}
		chunk, err := r.MetaData().RowGroup(g).ColumnChunk(f.column)
		if err != nil {
			return fmt.Errorf("row group %d, column %q: %w", g, column, err)
		}
		if err := f.checkChunk(chunk, rows); err != nil {
			return fmt.Errorf("row group %d, column %q: %w", g, column, err)
		}
		f.rows += rows
	}
	if n := r.NumRows(); n != f.rows {
		return fmt.Errorf("the footer declares %d rows, its row groups %d", n, f.rows)
	}
	return nil
}

// checkChunk compares a column chunk's metadata with the file and the row group.
func (f *columnFile) checkChunk(c *metadata.ColumnChunkMetaData, rows int64) error {
	if c.CryptoMetadata() != nil {
		return errors.New("the column is encrypted")
	}
	if c.NumValues() != rows {
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

// value is one row of a row group.
type value struct {
	row  int64 // within the row group
	text string
	null bool
}

// values yields the column's values in one row group.
func (f *columnFile) values(group int) iter.Seq2[value, error] {
	return func(yield func(value, error) bool) {
		var chunk *file.ByteArrayColumnChunkReader
		var pages *checkedPages
		var rows int64
		err := guard(func() (err error) {
			rows = f.reader.MetaData().RowGroup(group).NumRows()
			chunk, pages, err = f.chunk(group)
			return err
		})
		if err != nil {
			yield(value{}, err)
			return
		}
		optional := chunk.Descriptor().MaxDefinitionLevel() == 1
		texts := make([]parquet.ByteArray, batchRows)
		levels := make([]int16, batchRows)
		for row := int64(0); row < rows; {
			var n int64
			err := guard(func() (err error) {
				n, _, err = chunk.ReadBatch(batchRows, texts, levels, nil)
				// A failed page ends the batch without an error of its own.
				return cmp.Or(err, pages.err, chunk.Err())
			})
			if err != nil {
				yield(value{}, fmt.Errorf("after row %d of %d: %w", row, rows, err))
				return
			}
			if n == 0 {
				yield(value{}, fmt.Errorf("the data ends after %d of %d rows", row, rows))
				return
			}
			next := texts
			for i := range n {
				v := value{row: row + i, null: optional && levels[i] == 0}
				if !v.null {
					v.text = string(next[0]) // a copy: next[0] lies in the page's memory
					next = next[1:]
					if !utf8.ValidString(v.text) {
						yield(value{}, fmt.Errorf("row %d is not UTF-8 text", v.row))
						return
					}
				}
				if !yield(v, nil) {
					return
				}
			}
			row += n
		}
	}
}

// chunk makes the reader of one row group's column. Arrow's own way there
// (RowGroup.Column) reads past a damaged chunk's end as if it were zeros, hence
// the own section and the checked pages.
func (f *columnFile) chunk(group int) (*file.ByteArrayColumnChunkReader, *checkedPages, error) {
	meta, err := f.reader.MetaData().RowGroup(group).ColumnChunk(f.column)
	if err != nil {
		return nil, nil, err
	}
	f.buffer.Reset(io.NewSectionReader(f.file, chunkStart(meta), meta.TotalCompressedSize()))
	source := &section{Reader: f.buffer}
	mem := memory.NewGoAllocator()
	raw, err := file.NewPageReader(source, meta.NumValues(), meta.Compression(), mem, nil)
	if err != nil {
		return nil, nil, err
	}
	raw.SetMaxPageHeaderSize(maxPageHeader)
	descr := f.reader.MetaData().Schema.Column(f.column)
	pages := &checkedPages{
		PageReader: raw,
		source:     source,
		optional:   descr.MaxDefinitionLevel() == 1,
		left:       meta.NumValues(),
	}
	chunk, ok := file.NewColumnReader(descr, pages, mem, f.reader.BufferPool()).(*file.ByteArrayColumnChunkReader)
	if !ok {
		return nil, nil, fmt.Errorf("type %s; text must be BYTE_ARRAY", descr.PhysicalType())
	}
	return chunk, pages, nil
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
