package data

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// TextColumn is the column that Open reads.
const TextColumn = "text"

// Shards is an ordered set of Parquet files with one text column each. It is
// safe for concurrent use.
type Shards struct {
	Files  []string // in reading order: sorted by path
	Column string   // the top-level byte-array column that is read

	shards []shard
	rows   int64
	nulls  atomic.Int64
}

// shard is what Open learnt of a file; a file that differs later has changed.
type shard struct {
	size, rows int64
	first      int64 // rows of the shards before it
}

// Position is a row of a set of shards: the next one to read.
type Position struct {
	Shard int   `json:"shard"`
	Row   int64 `json:"row"`
}

// Document is one row's text and where it came from. A document read by
// RawText has position zero.
type Document struct {
	Text  string
	Shard int
	Row   int64
}

// Open finds the Parquet files that pattern names (one file, a directory with
// all *.parquet below it, or a glob of either) and checks every footer: the
// text column must be there, with at least one row. The text itself is read by
// Documents.
func Open(pattern string) (*Shards, error) {
	return OpenColumn(pattern, TextColumn)
}

// OpenColumn is Open for files whose text is in another column.
func OpenColumn(pattern, column string) (*Shards, error) {
	files, err := find(pattern)
	if err != nil {
		return nil, err
	}
	s := &Shards{Files: files, Column: column}
	for _, path := range files {
		f, err := openColumn(path, column)
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		if f.rows == 0 {
			return nil, fmt.Errorf("%s: the file has no rows; remove it", path)
		}
		s.shards = append(s.shards, shard{size: f.size, rows: f.rows, first: s.rows})
		s.rows += f.rows
	}
	return s, nil
}

// find lists the files that pattern names, sorted, each once.
func find(pattern string) ([]string, error) {
	// A path that exists is taken as it is, so that brackets in it need no escape.
	matches := []string{pattern}
	if _, err := os.Stat(pattern); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if matches, err = filepath.Glob(pattern); err != nil {
			return nil, fmt.Errorf("data pattern %q: %w", pattern, err)
		}
		if len(matches) == 0 {
			return nil, fmt.Errorf("%s: no such file or directory, and no file matches it as a pattern", pattern)
		}
	}
	var files []string
	for _, m := range matches {
		info, err := os.Stat(m)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, m)
			continue
		}
		below, err := walk(m)
		if err != nil {
			return nil, err
		}
		files = append(files, below...)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no *.parquet file below this directory", pattern)
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// walk lists the *.parquet files below dir. Links to files count (a hub cache
// consists of them); hidden files and directories do not.
func walk(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != dir && strings.HasPrefix(d.Name(), ".") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.IsDir() && strings.EqualFold(filepath.Ext(path), ".parquet") {
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// Rows is the number of rows of all shards, nulls included.
func (s *Shards) Rows() int64 { return s.rows }

// Nulls is the number of null rows skipped so far, by every reading of s.
func (s *Shards) Nulls() int64 { return s.nulls.Load() }

// Identity is a SHA-256 over the files' names (without directories), sizes and
// row counts and the column, in hexadecimal. Moving the directory keeps it.
func (s *Shards) Identity() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", s.Column)
	for i, f := range s.Files {
		fmt.Fprintf(h, "%q %d %d\n", filepath.Base(f), s.shards[i].size, s.shards[i].rows)
	}
	return hex.EncodeToString(h.Sum(nil))
}
