package kind

import (
	"path/filepath"
	"strings"

	"steplm/data/text"
)

// Class is what a file's name promises.
type Class int

const (
	Unknown Class = iota
	Columns       // Parquet
	Lines         // JSON Lines
	JSON          // JSON Lines, or what a data set says about itself
	Text          // one document
	table         // values that commas or tabs separate, which is not read
)

// suffixes are what names end in, before that of a compression.
var suffixes = []struct {
	suffix string
	class  Class
}{
	{".parquet", Columns}, {".jsonl", Lines}, {".ndjson", Lines}, {".json", JSON}, {".txt", Text},
	{".csv", table}, {".tsv", table},
}

// Suffixes are the endings of the names that a folder's files are found by.
func Suffixes() []string {
	var list []string
	for _, s := range suffixes {
		switch s.class {
		case Columns:
			list = append(list, s.suffix)
		case Lines, JSON, Text:
			list = append(list, s.suffix, s.suffix+".gz", s.suffix+".zst")
		}
	}
	return list
}

// ByName is what a file's name promises, and how it would be compressed.
func ByName(path string) (Class, text.Compression) {
	name, compression := strings.ToLower(filepath.Base(path)), text.Plain
	if rest, ok := strings.CutSuffix(name, ".gz"); ok {
		name, compression = rest, text.Gzipped
	} else if rest, ok := strings.CutSuffix(name, ".zst"); ok {
		name, compression = rest, text.Zstandard
	}
	for _, s := range suffixes {
		if strings.HasSuffix(name, s.suffix) {
			if s.class == JSON && compression != text.Plain {
				return Lines, compression // nothing about a data set is compressed
			}
			if s.class == Columns && compression != text.Plain {
				return Unknown, compression
			}
			return s.class, compression
		}
	}
	return Unknown, compression
}
