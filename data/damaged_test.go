package data

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/file"
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

// Flipped bits and cut ends give an error or a readable file: no panic, no
// endless loop, never a row too many. Checksummed pages (zstd) give an error or
// the right text.
func TestDamagedBytes(t *testing.T) {
	want := texts("doc", 40)
	for i := range want {
		if i%6 == 5 {
			want[i] = null
		}
	}
	good := map[string][]byte{}
	path := filepath.Join(t.TempDir(), "shard.parquet")
	for name, props := range map[string][]parquet.WriterProperty{
		"plain":          {parquet.WithDictionaryDefault(false)},
		"dictionary":     {parquet.WithDictionaryDefault(true), parquet.WithCompression(compress.Codecs.Snappy)},
		"delta length":   {parquet.WithDictionaryDefault(false), parquet.WithEncoding(parquet.Encodings.DeltaLengthByteArray)},
		"delta":          {parquet.WithDictionaryDefault(false), parquet.WithEncoding(parquet.Encodings.DeltaByteArray), parquet.WithCompression(compress.Codecs.Gzip)},
		"pages v2":       {parquet.WithDictionaryDefault(false), parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithCompression(compress.Codecs.Snappy)},
		"delta pages v2": {parquet.WithDictionaryDefault(false), parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithEncoding(parquet.Encodings.DeltaByteArray)},
		"zstd":           {parquet.WithDictionaryDefault(false), parquet.WithCompression(compress.Codecs.Zstd)},
	} {
		writeColumn(t, path, want, append(props, parquet.WithDataPageSize(256), parquet.WithBatchSize(8))...)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		good[name] = b
		// The same without nulls: Arrow's loops differ for required columns.
		var full []string
		for _, s := range want {
			if s != null {
				full = append(full, s)
			}
		}
		writeColumn(t, path, full, append(props, parquet.WithDataPageSize(256), parquet.WithBatchSize(8))...)
		if good[name+" required"], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	failures := 0
	try := func(name, what string, damaged []byte) {
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		inTime(t, name+": "+what, func() {
			docs, err := readAll(path, TextColumn)
			if len(docs) > len(want) {
				t.Errorf("%s: %s: %d documents of %d", name, what, len(docs), len(want))
			}
			if err != nil {
				failures++
				checkError(t, path, err)
			}
		})
	}
	for name, b := range good {
		// Every byte that steers is near a page's start or in the footer; the
		// file is small enough to hit most of them.
		for range 150 {
			i, bit := rng.IntN(len(b)), rng.IntN(8)
			damaged := bytes.Clone(b)
			damaged[i] ^= 1 << bit
			try(name, fmt.Sprintf("bit %d of byte %d flipped", bit, i), damaged)
		}
		for range 20 {
			n := rng.IntN(len(b))
			before := failures
			try(name, fmt.Sprintf("cut to %d bytes", n), b[:n])
			if failures == before {
				t.Errorf("%s cut to %d of %d bytes was read without an error", name, n, len(b))
			}
			// The footer stays, some bytes before it are lost.
			from := rng.IntN(len(b) / 2)
			damaged := append(bytes.Clone(b[:from]), b[from+1+rng.IntN(len(b)/4):]...)
			try(name, fmt.Sprintf("%d bytes taken out at %d", len(b)-len(damaged), from), damaged)
		}
	}
	t.Logf("%d files, %d of their variants gave an error", len(good), failures)
	if failures < 300 {
		t.Errorf("only %d errors: the damage does not reach the reader", failures)
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
		ok   bool
	}{
		{"one run", []byte{20, 1}, 10, true},
		{"longer run than needed", []byte{20, 1}, 9, true},
		{"a run and a group", []byte{20, 1, 3, 0xFF}, 18, true},
		{"empty", nil, 1, false},
		{"run too short", []byte{20, 1}, 11, false},
		{"run without a value", []byte{20}, 10, false},
		{"run of none", []byte{0, 1, 20, 1}, 10, false},
		{"level 2", []byte{20, 2}, 10, false},
		{"group cut off", []byte{5, 0xFF}, 16, false},
		{"count too large", []byte{0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 1}, 10, false},
	} {
		if err := checkLevels(tt.data, tt.n); (err == nil) != tt.ok {
			t.Errorf("%s: error %v", tt.name, err)
		}
	}
	for _, tt := range []struct {
		name string
		data []byte
		n    int64
		rest int // -1 = error
	}{
		{"one value", []byte{128, 1, 4, 1, 10, 'x'}, 1, 1},
		{"no values", []byte{128, 1, 4, 0, 0, 'x'}, 1, 1},
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
	root := shared(t, "parquet")
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
	s, err := Open(shared(t, "fineweb_edu/train"))
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
