package data

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"

	"steplm/data/datatest"
)

// inTime fails the test where f hangs; Arrow has loops that damaged files keep
// going for ever.
func inTime(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%s: still running after a minute", what)
	}
}

// readAll reads a file's column to its end or first error.
func readAll(path, column string) ([]Document, error) {
	s, err := OpenColumn(path, column)
	if err != nil {
		return nil, err
	}
	var docs []Document
	for d, err := range s.Documents(Position{}) {
		if err != nil {
			return docs, err
		}
		docs = append(docs, d)
	}
	return docs, nil
}

// checkError wants one line that names the file.
func checkError(t *testing.T, path string, err error) {
	t.Helper()
	if !strings.Contains(err.Error(), filepath.Base(path)) || strings.Contains(err.Error(), "\n") {
		t.Errorf("not one line that names %s: %q", filepath.Base(path), err)
	}
}

// With zstd each page has a checksum: what is read is right or an error.
func TestChecksummedPagesAreRightOrAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shard.parquet")
	want := texts("doc", 40)
	writeColumn(t, path, want, parquet.WithDictionaryDefault(false), parquet.WithCompression(compress.Codecs.Zstd))
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
		if _, err := readAll(path, TextColumn); err == nil {
			t.Fatalf("byte %d of %d flipped: no error", i, end)
		} else if !strings.Contains(err.Error(), `row group 0, column "text"`) {
			t.Fatalf("no place in %q", err)
		}
	}
}

// Levels and lengths on which Arrow's own decoders never return.
func TestLevelsThatEndEarly(t *testing.T) {
	for _, tt := range []struct {
		name string
		data []byte
		n    int64
		ones int64 // -1 = error
	}{
		{"one run", []byte{20, 1}, 10, 10},
		{"a run of nulls", []byte{20, 0}, 10, 0},
		{"longer run than needed", []byte{20, 1}, 9, 9},
		{"a run and a group", []byte{20, 1, 3, 0xFF}, 18, 18},
		{"a group longer than needed", []byte{3, 0xFE}, 3, 2},
		{"groups", []byte{5, 0x0F, 0xF1}, 13, 6},
		{"empty", nil, 1, -1},
		{"run too short", []byte{20, 1}, 11, -1},
		{"run without a value", []byte{20}, 10, -1},
		{"run of none", []byte{0, 1, 20, 1}, 10, -1},
		{"level 2", []byte{20, 2}, 10, -1},
		{"group cut off", []byte{5, 0xFF}, 16, -1},
		{"count too large", []byte{0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 1}, 10, -1},
	} {
		ones, err := checkLevels(tt.data, tt.n)
		if (err != nil) != (tt.ones < 0) || err == nil && ones != tt.ones {
			t.Errorf("%s: %d ones, error %v", tt.name, ones, err)
		}
	}
	for _, tt := range []struct {
		name string
		data []byte
		n    int64
		rest int // -1 = error
	}{
		{"one value", []byte{128, 1, 4, 1, 10, 'x'}, 1, 1},
		{"no values", []byte{128, 1, 4, 0, 0, 'x'}, 0, 1},
		{"fewer lengths than values", []byte{128, 1, 4, 1, 10}, 2, -1},
		{"equal deltas", []byte{128, 1, 4, 3, 10, 2, 0, 0, 0, 0, 'x'}, 3, 1},
		{"more lengths than values", []byte{128, 1, 4, 3, 10, 2, 0, 0, 0, 0}, 2, -1},
		{"no mini-blocks", []byte{128, 1, 0, 3, 10, 2}, 3, -1},
		{"empty mini-blocks", []byte{0, 4, 3, 10, 2, 0, 0, 0, 0}, 3, -1},
		{"width 33", []byte{128, 1, 4, 3, 10, 2, 33, 0, 0, 0}, 3, -1},
		{"deltas cut off", []byte{128, 1, 4, 3, 10, 2, 8, 0, 0, 0, 1, 2}, 3, -1},
		{"header cut off", []byte{128, 1, 4}, 3, -1},
	} {
		rest, err := skipDelta(tt.data, tt.n)
		if (err != nil) != (tt.rest < 0) || err == nil && len(rest) != tt.rest {
			t.Errorf("%s: %d bytes left, error %v", tt.name, len(rest), err)
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
			for _, column := range append(textColumns(path), TextColumn) {
				inTime(t, column, func() {
					docs, err := readAll(path, column)
					if err != nil {
						checkError(t, path, err)
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
		if len(docs) != tt.documents || (err == nil) != (tt.error == "") || err != nil && !strings.Contains(err.Error(), tt.error) {
			t.Errorf("%s, %s: %d documents, error %v", tt.path, tt.column, len(docs), err)
		}
	}
}

func TestRealShards(t *testing.T) {
	s, err := Open(datatest.Path(t, "fineweb_edu/train"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Rows() != 13514 || len(s.Files) != 3 {
		t.Errorf("%d rows in %d files, want 13514 in 3", s.Rows(), len(s.Files))
	}
	n, size := 0, 0
	for d, err := range s.Documents(Position{}) {
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
