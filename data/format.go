package data

import (
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// format reads files of one kind.
type format interface {
	// scan learns what a file holds and refuses one that lacks what is asked for.
	scan(path string, o OpenOptions) (layout, error)
	// open opens a file that was scanned before. One that has changed since is an
	// error, there or when its rows are read.
	open(path string, o OpenOptions, known layout) (shardFile, error)
}

// layout is what a scan learns of a file.
type layout struct {
	size    int64
	groups  []int64           // rows of each row group
	firsts  []int64           // the first row of each
	offsets []int64           // where each begins, in formats without a footer
	sum     [sha256.Size]byte // of the footer, or of all bytes in formats without one
}

// add appends a row group.
func (l *layout) add(rows int64) {
	l.firsts = append(l.firsts, l.rows())
	l.groups = append(l.groups, rows)
}

// rows is how many there are.
func (l layout) rows() int64 {
	last := len(l.groups) - 1
	if last < 0 {
		return 0
	}
	return l.firsts[last] + l.groups[last]
}

// at finds the row group that holds a row; behind the last row there is none, and
// it is their number.
func (l layout) at(row int64) (group int) {
	return sort.Search(len(l.groups), func(g int) bool { return row < l.firsts[g]+l.groups[g] })
}

// shardFile is an open file. Its rows lie in row groups, which are read by
// themselves and in any order.
type shardFile interface {
	// rows yields all rows of a row group, in order, or an error at the end that
	// says where in the file it is.
	rows(group int) iter.Seq2[value, error]
	Close() error
}

// value is one row of a row group.
type value struct {
	row     int64 // within the row group
	text    string
	dropped reason // by what the file alone tells: no text, the filter's columns, damage of this row
	damage  error  // why a row is skipped
}

// Formats by their files' names; any file that begins as Parquet does is Parquet.
var suffixes = []struct {
	suffix string
	format format
}{
	{".parquet", parquetFormat{}},
	{".jsonl", linesFormat{}}, {".jsonl.gz", linesFormat{gzipped}}, {".jsonl.zst", linesFormat{zstandard}},
	{".txt", textFormat{}}, {".txt.gz", textFormat{gzipped}}, {".txt.zst", textFormat{zstandard}},
}

// formatByName is the format that a file's name promises; nil if it is none.
func formatByName(path string) format {
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
func formatOf(path string) format {
	if f := formatByName(path); f != nil && !beginsAsParquet(path) {
		return f
	}
	return parquetFormat{}
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
	return f == nil || f == textFormat{plain}
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

// damage is what is wrong with a file, not with what was asked of it.
type damage struct{ error }

func (d damage) Unwrap() error { return d.error }

// changed says that a file is not what it was.
func changed(path string, size int64, known layout) error {
	return fmt.Errorf("%s: the file changed while in use: it has %d bytes, had %d bytes and %d rows", path, size, known.size, known.rows())
}
