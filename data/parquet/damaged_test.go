package parquet_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"

	"steplm/data"
	"steplm/data/datatest"
)

// readAll reads a file's column to its end or first error.
func readAll(path, column string) ([]data.Document, error) {
	s, err := data.OpenColumn(path, column)
	if err != nil {
		return nil, err
	}
	return datatest.All(s.Documents(data.Position{}))
}

// With zstd each page has a checksum: what is read is right or an error.
func TestChecksummedPagesAreRightOrAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shard.parquet")
	want := datatest.Texts("doc", 40)
	datatest.WriteColumn(t, path, want, parquet.WithDictionaryDefault(false),
		parquet.WithCompression(compress.Codecs.Zstd))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.MetaData().RowGroup(0).ColumnChunk(0)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	// The page's body is the chunk's end; its header is not covered.
	end := int(c.DataPageOffset() + c.TotalCompressedSize())
	for i := end - 100; i < end; i++ {
		damaged := bytes.Clone(b)
		damaged[i] ^= 0x10
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(path, data.TextColumn); err == nil {
			t.Fatalf("byte %d of %d flipped: no error", i, end)
		} else if !strings.Contains(err.Error(), `row group 0, column "text"`) {
			t.Fatalf("no place in %q", err)
		}
	}
}

// textColumns lists a file's top-level byte-array columns.
func textColumns(path string) (names []string) {
	defer func() { recover() }() // Arrow may panic here; then there are none
	r, err := file.OpenParquetFile(path, false)
	if err != nil {
		return nil
	}
	defer r.Close()
	sc := r.MetaData().Schema
	for i := range sc.NumColumns() {
		if c := sc.Column(i); c.PhysicalType() == parquet.Types.ByteArray && len(c.ColumnPath()) == 1 {
			names = append(names, c.Name())
		}
	}
	return names
}

// Files by other writers, and files that broke other readers.
func TestForeignFiles(t *testing.T) {
	root := datatest.Path(t, "parquet")
	files, err := filepath.Glob(filepath.Join(root, "*", "*.parquet"))
	if err != nil || len(files) < 13 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	for _, path := range files {
		name := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			for _, column := range append(textColumns(path), data.TextColumn) {
				datatest.InTime(t, column, func() {
					docs, err := readAll(path, column)
					if err != nil {
						datatest.OneLine(t, path, err)
						t.Logf("%q: %d documents, then %v", column, len(docs), err)
					} else {
						t.Logf("%q: %d documents", column, len(docs))
					}
				})
			}
		})
	}
	for _, tt := range []struct {
		path, column string
		documents    int
		error        string
	}{
		{"fineweb_rows/extreme_tokenized_test1.polars.parquet", "text", 10, ""},
		{"fineweb_rows/gneissweb_test_01.parquet", "text", 15, ""},
		{"good/universal_c4_annotator_test-data_input_test1.parquet", "contents", 12, ""},
		{"good/language_enrichment_test-data_input_1.parquet", "text", 100, ""},
		{"good/delta_length_byte_array.parquet", "FRUIT", 1000, ""},
		{"bad/truncated.parquet", "text", 0, "not a readable Parquet file"},
		{"bad/nation.dict-malformed.parquet", "name", 0, `row group 0, column "name"`},
		{"bad/PARQUET-1481.parquet", "text", 0, "no column"},
		{"bad/ARROW-GH-43605.parquet", "text", 0, "no column"},
		{"bad/ARROW-GH-41317.parquet", "string", 4, ""},
	} {
		docs, err := readAll(filepath.Join(root, filepath.FromSlash(tt.path)), tt.column)
		if len(docs) != tt.documents || (err == nil) != (tt.error == "") || err != nil &&
			!strings.Contains(err.Error(), tt.error) {
			t.Errorf("%s, %s: %d documents, error %v", tt.path, tt.column, len(docs), err)
		}
	}
}

func TestRealShards(t *testing.T) {
	s, err := data.Open(datatest.Path(t, "fineweb_edu/train"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Rows() != 13514 || len(s.Files) != 3 {
		t.Errorf("%d rows in %d files, want 13514 in 3", s.Rows(), len(s.Files))
	}
	n, size := 0, 0
	for d, err := range s.Documents(data.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		size += len(d.Text)
	}
	if n+int(s.Nulls()) != 13514 {
		t.Errorf("%d documents and %d nulls, want 13514", n, s.Nulls())
	}
	t.Logf("%d documents, %d bytes, %d nulls", n, size, s.Nulls())
}
