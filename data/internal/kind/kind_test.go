package kind

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"steplm/data/internal/shard"
	"steplm/data/parquet"
	"steplm/data/text"
)

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

func zstandard(s string) string {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return string(w.EncodeAll([]byte(s), nil))
}

// A file is what its bytes say; its name decides between kinds of plain text.
func TestOf(t *testing.T) {
	const line, words = "{\"text\":\"a\"}\n", "some words\nand more\n"
	lines, whole := text.Lines{}, text.Whole{}
	zip := text.Lines{Compression: text.Gzipped}
	for _, tt := range []struct {
		name, content string
		want          shard.Format
	}{
		{"a.parquet", "PAR1....PAR1", parquet.Format{}},
		{"a.jsonl", "PAR1....PAR1", parquet.Format{}},
		{"footer.parquet", strings.Repeat("\x00", 5000) + "PAR1", parquet.Format{}},
		{"a.parquet", "\x01\x02\x03", parquet.Format{}},
		{"a.bin", "\x01\x02\xff", parquet.Format{}},
		{"a.jsonl", line, lines}, {"a.json", line, lines}, {"a.NDJSON", line, lines}, {"a.parquet", line, lines},
		{"a", "\xEF\xBB\xBF\n " + line, lines}, {"a.csv", line, lines}, {"a", "{}\n", lines},
		{"a.jsonl", words, lines}, {"a.jsonl", "", lines}, {"a.jsonl", line + "{\"text\":\"\xff\"}", lines},
		{"a.txt", words, whole}, {"a.txt", line, whole}, {"a.txt", "<html>", whole}, {"wiki.test.raw", words, whole},
		{"a.txt", "ORCHIDS and BZh", whole}, {"a.txt", "", whole},
		{"a.json.gz", gzipped(line), zip}, {"a.jsonl", gzipped(line), zip}, {"a", gzipped(line), zip},
		{"a.jsonl.gz", line, lines}, {"a.jsonl.gz", "\x1F\x8C\xff", zip}, {"a.jsonl.zst", gzipped(line), zip},
		{"a.jsonl.gz", gzipped(line)[:12], zip},
		{"a.jsonl", zstandard(line), text.Lines{Compression: text.Zstandard}},
		{"a.jsonl", "\x50\x2A\x4D\x18\x01\x00\x00\x00x" + zstandard(line), text.Lines{Compression: text.Zstandard}},
		{"a.txt.gz", zstandard(words), text.Whole{Compression: text.Zstandard}},
	} {
		path := filepath.Join(t.TempDir(), tt.name)
		if err := os.WriteFile(path, []byte(tt.content), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := Of(path); err != nil || got != tt.want {
			t.Errorf("%s, %.20q: %#v, error %v, want %#v", tt.name, tt.content, got, err, tt.want)
		}
	}
}

// What is not read is called by what it is, also where it is compressed.
func TestOfRefuses(t *testing.T) {
	tar := strings.Repeat("n", 100) + strings.Repeat("\x00", 157) + "ustar\x0000" + strings.Repeat("\x00", 600)
	for _, tt := range []struct{ name, content, want string }{
		{"a.parquet", "version https://git-lfs.example/spec/v1\noid sha256:0\nsize 135\n",
			"pointer, not the file of 135 bytes"},
		{"a.txt", "version https://git-lfs.example/spec/v1\n", "a Git LFS pointer"},
		{"a.parquet", "\n<!DOCTYPE HTML><html>", "a web page"}, {"a.jsonl", "<?xml version='1.0'?>", "a web page"},
		{"a.json.gz", gzipped("<html>"), "inside gzip data: a web page"},
		{"a.json", "[\n{\"text\":\"a\"}]", "a JSON array"}, {"a.jsonl", "{\n \"text\":\"a\"\n}", "over several lines"},
		{"a.csv", "text,score\na,1\n", "a table of separated values"}, {"a.tsv", "text\ta", "a table"},
		{"a.gz", gzipped("words"), "neither JSON Lines nor"}, {"a.tar.gz", gzipped(tar), "a tar archive"},
		{"a.tar", tar, "a tar archive"}, {"a.jsonl", "PK\x03\x04\xff", "a zip archive"}, {"a.bz2", "BZh9\xff", "bzip2"},
		{"a.jsonl.xz", "\xFD7zXZ\x00", "xz data"}, {"a.parquet", "PARE\xff", "encrypted footer"},
		{"a.parquet.gz", gzipped("PAR1\xff\x00"), "compressed once more"},
		{"a.jsonl.gz", gzipped(gzipped("{}")), "once more"},
		{"a.arrow", "ARROW1\x00\x00", "an Arrow file"},
		{"a.txt", "\xFF\xFEa\x00", "UTF-16"}, {"a.npy", "\x93NUMPY", "NumPy"},
	} {
		path := filepath.Join(t.TempDir(), tt.name)
		if err := os.WriteFile(path, []byte(tt.content), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := Of(path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.As(err, new(shard.Damage)) ||
			!strings.HasPrefix(err.Error(), path) {
			t.Errorf("%s, %.20q: %#v, error %v does not say %q", tt.name, tt.content, f, err, tt.want)
		}
	}
	if f, err := Of(t.TempDir()); err == nil {
		t.Errorf("a directory is %#v", f)
	}
}

// A name says how a file is compressed by its last ending.
func TestNamesOfWhatIsCompressedTwice(t *testing.T) {
	for range 20 {
		if class, c := ByName("a.jsonl.zst.gz"); class != Unknown || c != text.Gzipped {
			t.Fatalf("class %v, compression %v", class, c)
		}
	}
}
