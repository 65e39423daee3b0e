package data

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"steplm/data/internal/shard"
	"steplm/data/parquet"
	"steplm/data/text"
)

// Formats by their files' names; any file that begins as Parquet does is Parquet.
var suffixes = []struct {
	suffix string
	format shard.Format
}{
	{".parquet", parquet.Format{}},
	{".jsonl", text.Lines{}}, {".jsonl.gz", text.Lines{Compression: text.Gzipped}},
	{".jsonl.zst", text.Lines{Compression: text.Zstandard}},
	{".txt", text.Whole{}}, {".txt.gz", text.Whole{Compression: text.Gzipped}},
	{".txt.zst", text.Whole{Compression: text.Zstandard}},
}

// formatByName is the format that a file's name promises; nil if it is none.
func formatByName(path string) shard.Format {
	name := strings.ToLower(filepath.Base(path))
	for _, s := range suffixes {
		if strings.HasSuffix(name, s.suffix) {
			return s.format
		}
	}
	return nil
}

// formatOf is how a file is read. What is not known by its name is taken for
// Parquet, whose reader says what is wrong.
func formatOf(path string) shard.Format {
	if f := formatByName(path); f != nil && !beginsAsParquet(path) {
		return f
	}
	return parquet.Format{}
}

// IsPlainText tells a file that is one text, such as wiki.test.raw, from what Open
// reads as rows. A damaged Parquet file is no text: its name or its first bytes
// give it away.
func IsPlainText(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() || beginsAsParquet(path) {
		return false
	}
	f := formatByName(path)
	return f == nil || f == text.Whole{Compression: text.Plain}
}

// beginsAsParquet looks at a file's first bytes.
func beginsAsParquet(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "PAR1"
}
