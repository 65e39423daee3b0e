package text_test

import (
	"os"
	"path/filepath"
	"testing"

	"steplm/data"
	"steplm/data/datatest"
)

// A file of any bytes, read as its name says, gives an error or every row: read,
// null, or with SkipBad skipped. Never a panic.
func FuzzShards(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "a.parquet")
	for _, codec := range []string{"snappy", "zstd", "none"} {
		if err := datatest.WriteShard(path, datatest.RowsOf(datatest.Texts("doc", 6)),
			datatest.WriteOptions{Codec: codec, RowGroup: 3}); err != nil {
			f.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content, uint8(0))
	}
	lines := datatest.JSONLines(f, datatest.RowsOf(datatest.Texts("doc", 6)))
	for i, name := range []string{"a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.txt.gz"} {
		f.Add(datatest.Packed(f, name, lines), uint8(1+i))
	}
	names := []string{"f.parquet", "f.jsonl", "f.jsonl.gz", "f.jsonl.zst", "f.txt.gz", "f.json"}
	f.Fuzz(func(t *testing.T, content []byte, kind uint8) {
		path := filepath.Join(t.TempDir(), names[int(kind)%len(names)])
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, skip := range []bool{false, true} {
			s, err := data.OpenWith(path, data.OpenOptions{SkipBad: skip})
			if err != nil {
				continue
			}
			n := int64(0)
			for _, e := range s.Documents(data.Position{}) {
				if err = e; err == nil {
					n++
				}
			}
			if d := s.Dropped(); err == nil && n+d.Total() != s.Rows() {
				t.Fatalf("%d documents, %+v, but %d rows", n, d, s.Rows())
			}
		}
	})
}
