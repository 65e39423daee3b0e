package datatest

import (
	"cmp"
	"fmt"
	"io"
	"os"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/schema"
)

// Row is one document with FineWeb-Edu's columns.
type Row struct {
	Text          string
	ID            string // such as <urn:uuid:...>
	Dump          string // the crawl it is from
	URL           string
	FilePath      string
	Language      string
	LanguageScore float64
	TokenCount    int64
	Score         float64 // educational score
	IntScore      int64   // Score, rounded
}

// WriteOptions say how a shard is stored; the zero value is snappy in row
// groups of 1000.
type WriteOptions struct {
	Codec    string // snappy, zstd, gzip or none; "" = snappy
	RowGroup int    // rows per row group; 0 = 1000
}

// column is one of FineWeb-Edu's columns and how it is written.
type column struct {
	name  string
	node  func(name string) schema.Node
	write func(w file.ColumnChunkWriter, rows []Row, defined []int16) error
}

// columns are FineWeb-Edu's, in its order and with its types, all of them
// optional.
var columns = []column{
	stringColumn("text", func(r *Row) string { return r.Text }),
	stringColumn("id", func(r *Row) string { return r.ID }),
	stringColumn("dump", func(r *Row) string { return r.Dump }),
	stringColumn("url", func(r *Row) string { return r.URL }),
	stringColumn("file_path", func(r *Row) string { return r.FilePath }),
	stringColumn("language", func(r *Row) string { return r.Language }),
	doubleColumn("language_score", func(r *Row) float64 { return r.LanguageScore }),
	intColumn("token_count", func(r *Row) int64 { return r.TokenCount }),
	doubleColumn("score", func(r *Row) float64 { return r.Score }),
	intColumn("int_score", func(r *Row) int64 { return r.IntScore }),
}

func stringColumn(name string, get func(*Row) string) column {
	return column{name,
		func(name string) schema.Node {
			return schema.Must(schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional,
				schema.StringLogicalType{}, parquet.Types.ByteArray, 0, -1))
		},
		func(w file.ColumnChunkWriter, rows []Row, defined []int16) error {
			values := make([]parquet.ByteArray, len(rows))
			for i := range rows {
				values[i] = parquet.ByteArray(get(&rows[i]))
			}
			_, err := w.(*file.ByteArrayColumnChunkWriter).WriteBatch(values, defined, nil)
			return err
		}}
}

func doubleColumn(name string, get func(*Row) float64) column {
	return column{name,
		func(name string) schema.Node { return schema.NewFloat64Node(name, parquet.Repetitions.Optional, -1) },
		func(w file.ColumnChunkWriter, rows []Row, defined []int16) error {
			values := make([]float64, len(rows))
			for i := range rows {
				values[i] = get(&rows[i])
			}
			_, err := w.(*file.Float64ColumnChunkWriter).WriteBatch(values, defined, nil)
			return err
		}}
}

func intColumn(name string, get func(*Row) int64) column {
	return column{name,
		func(name string) schema.Node {
			return schema.Must(schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Optional,
				schema.NewIntLogicalType(64, true), parquet.Types.Int64, 0, -1))
		},
		func(w file.ColumnChunkWriter, rows []Row, defined []int16) error {
			values := make([]int64, len(rows))
			for i := range rows {
				values[i] = get(&rows[i])
			}
			_, err := w.(*file.Int64ColumnChunkWriter).WriteBatch(values, defined, nil)
			return err
		}}
}

// WriteShard writes rows as one Parquet file in FineWeb-Edu's layout. The same
// rows and options give the same bytes. Where it fails it leaves no file.
func WriteShard(path string, rows []Row, o WriteOptions) error {
	codec, ok := map[string]compress.Compression{
		"": compress.Codecs.Snappy, "snappy": compress.Codecs.Snappy, "zstd": compress.Codecs.Zstd,
		"gzip": compress.Codecs.Gzip, "none": compress.Codecs.Uncompressed,
	}[o.Codec]
	if !ok {
		return fmt.Errorf("unknown Parquet codec %q; known are snappy, zstd, gzip, none", o.Codec)
	}
	if o.RowGroup < 0 {
		return fmt.Errorf("%d rows per row group: must be at least 1, or 0 for 1000", o.RowGroup)
	}
	if o.RowGroup == 0 {
		o.RowGroup = 1000
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := cmp.Or(WriteRows(f, rows, codec, o.RowGroup), f.Close()); err != nil {
		os.Remove(path)
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// WriteRows writes the whole file to w. Arrow drops some errors of its sink and
// panics on others, so the first is kept here.
func WriteRows(w io.Writer, rows []Row, codec compress.Compression, rowGroup int) (err error) {
	sink := &stickyWriter{w: w}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("writing Parquet: %v", r)
		}
		err = cmp.Or(sink.err, err)
	}()
	return writeRowGroups(sink, rows, codec, rowGroup)
}

func writeRowGroups(sink io.Writer, rows []Row, codec compress.Compression, rowGroup int) error {
	fields := make(schema.FieldList, len(columns))
	for i, c := range columns {
		fields[i] = c.node(c.name)
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Repeated, fields, -1)
	if err != nil {
		return err
	}
	w := file.NewParquetWriter(sink, root, file.WithWriterProps(parquet.NewWriterProperties(
		parquet.WithCompression(codec),
		parquet.WithDictionaryFor("text", false), // texts do not repeat
		parquet.WithBatchSize(16),                // rows between looks at the page's size
	)))
	for len(rows) > 0 {
		group := rows[:min(rowGroup, len(rows))]
		rows = rows[len(group):]
		defined := make([]int16, len(group))
		for i := range defined {
			defined[i] = 1
		}
		g := w.AppendRowGroup()
		for _, c := range columns {
			cw, err := g.NextColumn()
			if err != nil {
				return err
			}
			if err := c.write(cw, group, defined); err != nil {
				return err
			}
			if err := cw.Close(); err != nil {
				return err
			}
		}
		if err := g.Close(); err != nil {
			return err
		}
	}
	return w.Close()
}

// stickyWriter remembers the first error of a writer.
type stickyWriter struct {
	w   io.Writer
	err error
}

func (s *stickyWriter) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}
