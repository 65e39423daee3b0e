package parquet_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"

	"steplm/data"
	"steplm/data/datatest"
)

// goodFiles are small files in all layouts that are read, by name, with their
// text column.
func goodFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	path := filepath.Join(t.TempDir(), "good.parquet")
	keep := func(name string) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
	}
	for _, codec := range []string{"snappy", "zstd", "gzip", "none"} {
		if err := datatest.WriteShard(path, datatest.RowsOf(datatest.Texts("doc", 24)),
			datatest.WriteOptions{Codec: codec, RowGroup: 8}); err != nil {
			t.Fatal(err)
		}
		keep("WriteShard " + codec)
	}
	full := datatest.Texts("doc", 40)
	holes := slices.Clone(full)
	for i := range holes {
		if i%6 == 5 {
			holes[i] = datatest.Null
		}
	}
	for name, props := range map[string][]parquet.WriterProperty{
		"plain":      {parquet.WithDictionaryDefault(false)},
		"dictionary": {parquet.WithDictionaryDefault(true), parquet.WithCompression(compress.Codecs.Snappy)},
		"delta length": {parquet.WithDictionaryDefault(false),
			parquet.WithEncoding(parquet.Encodings.DeltaLengthByteArray)},
		"delta": {parquet.WithDictionaryDefault(false), parquet.WithEncoding(parquet.Encodings.DeltaByteArray),
			parquet.WithCompression(compress.Codecs.Gzip)},
		"pages v2": {parquet.WithDictionaryDefault(false), parquet.WithDataPageVersion(parquet.DataPageV2),
			parquet.WithCompression(compress.Codecs.Snappy)},
		"delta pages v2": {parquet.WithDictionaryDefault(false), parquet.WithDataPageVersion(parquet.DataPageV2),
			parquet.WithEncoding(parquet.Encodings.DeltaByteArray)},
		"brotli": {parquet.WithDictionaryDefault(false), parquet.WithCompression(compress.Codecs.Brotli)},
		"zstd":   {parquet.WithDictionaryDefault(false), parquet.WithCompression(compress.Codecs.Zstd)},
	} {
		for suffix, rows := range map[string][]string{"": holes, " required": full} {
			datatest.WriteColumn(t, path, rows, append(props, parquet.WithDataPageSize(256),
				parquet.WithBatchSize(8))...)
			keep(name + suffix)
		}
	}
	return files
}

// Damaged files give an error or every row of the footer: read, null or, with
// SkipBad, skipped. They never panic or hang, and errors name the file.
func TestMutations(t *testing.T) {
	t.Run("made here", func(t *testing.T) {
		files := map[columnOf][]byte{}
		for name, b := range goodFiles(t) {
			files[columnOf{name, data.TextColumn}] = b
		}
		testMutations(t, files, 2000)
	})
	t.Run("by other writers", func(t *testing.T) {
		files := map[columnOf][]byte{}
		for name, column := range map[string]string{
			"fineweb_rows/extreme_tokenized_test1.polars.parquet": "text",
			"fineweb_rows/gneissweb_test_01.parquet":              "text",
			"good/delta_length_byte_array.parquet":                "FRUIT",
		} {
			b, err := os.ReadFile(datatest.Path(t, "parquet/"+name))
			if err != nil {
				t.Fatal(err)
			}
			files[columnOf{name, column}] = b
		}
		testMutations(t, files, 300)
	})
}

// columnOf is the text column of a file.
type columnOf struct{ file, column string }

// testMutations damages each file 110 times, at least least times in all.
func testMutations(t *testing.T, files map[columnOf][]byte, least int) {
	path := filepath.Join(t.TempDir(), "shard.parquet")
	const perFile = 110
	tries, failures, skippedGroups, changed := 0, 0, 0, 0
	byName := func(a, b columnOf) int { return strings.Compare(a.file, b.file) }
	for _, of := range slices.SortedFunc(maps.Keys(files), byName) {
		name, column, good := of.file, of.column, files[of]
		if err := os.WriteFile(path, good, 0o644); err != nil {
			t.Fatal(err)
		}
		want, err := readAll(path, column)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rng := rand.New(rand.NewPCG(1, uint64(len(good))))
		for range perFile {
			what, damaged := datatest.Mutate(rng, good)
			if bytes.Equal(damaged, good) {
				continue
			}
			tries++
			if err := os.WriteFile(path, damaged, 0o644); err != nil {
				t.Fatal(err)
			}
			datatest.InTime(t, name+": "+what, func() {
				for _, skip := range []bool{false, true} {
					s, err := data.OpenWith(path, data.OpenOptions{Column: column, SkipBad: skip})
					var docs []data.Document
					if err == nil {
						for d, e := range s.Documents(data.Position{}) {
							if err = e; err == nil {
								docs = append(docs, d)
							}
						}
					}
					if err != nil {
						if datatest.OneLine(t, path, err); !skip {
							failures++
						} else if s != nil {
							t.Errorf("%s: %s: not skipped: %v", name, what, err)
						}
						continue
					}
					d := s.Dropped()
					if int64(len(docs))+d.Total() != s.Rows() {
						t.Errorf("%s: %s: %d documents, %+v, but %d rows", name, what, len(docs), d, s.Rows())
					}
					if d.Skipped > 0 {
						skippedGroups++
					}
					if !skip && !slices.Equal(docs, want) {
						changed++
					}
				}
			})
		}
	}
	t.Logf("%d mutations of %d files: %d gave an error, %d were read in part, %d (%.1f %%) gave other text or "+
		"nulls unnoticed",
		tries, len(files), failures, skippedGroups, changed, 100*float64(changed)/float64(tries))
	if tries < least || failures < tries/4 || skippedGroups == 0 {
		t.Error("the damage does not reach the reader")
	}
}

// A file that is cut anywhere is never read without an error.
func TestCutFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shard.parquet")
	for name, good := range goodFiles(t) {
		for n := 0; n < len(good); n += 1 + len(good)/40 {
			if err := os.WriteFile(path, good[:n], 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := readAll(path, data.TextColumn); err == nil {
				t.Errorf("%s cut to %d of %d bytes was read without an error", name, n, len(good))
			}
		}
	}
}
