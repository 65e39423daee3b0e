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
	"sync"
)

// TextColumn is the column that Open reads.
const TextColumn = "text"

// Shards is an ordered set of Parquet files with one text column each. It is
// safe for concurrent use.
type Shards struct {
	Files  []string // in reading order: sorted by path
	Column string   // the top-level byte-array column that is read

	options  OpenOptions
	shards   []shard
	rows     int64
	badFiles int

	mu       sync.Mutex
	verdicts map[[2]int]bool // by shard and row group: whether it is skipped
	dropped  Dropped
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

// OpenOptions say what is read of shards; the zero value is every row's text.
type OpenOptions struct {
	Column string // the text's column; "" = TextColumn
	Filter Filter
	// SkipBad leaves out what is damaged and counts it: a row group, since less
	// cannot be told apart surely, or a file whose footer cannot be read. Each row
	// group is then read twice the first time, once to see whether all of it is
	// good. Without it damage is an error.
	SkipBad bool
	Log     func(message string) // told what is skipped, once for each; nil = nobody

	seenSets int // tests set it; 0 = the constant
}

// Open finds the Parquet files that pattern names (one file, a directory with
// all *.parquet below it, or a glob of either) and checks every footer: the
// text column must be there, with at least one row. The text itself is read by
// Documents.
func Open(pattern string) (*Shards, error) {
	return OpenWith(pattern, OpenOptions{})
}

// OpenColumn is Open for files whose text is in another column.
func OpenColumn(pattern, column string) (*Shards, error) {
	return OpenWith(pattern, OpenOptions{Column: column})
}

// OpenWith is Open with options. Files without a column that is needed are an
// error.
func OpenWith(pattern string, o OpenOptions) (*Shards, error) {
	if err := o.Filter.check(); err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	if o.Column == "" {
		o.Column = TextColumn
	}
	if o.seenSets == 0 {
		o.seenSets = seenSets
	}
	files, err := find(pattern)
	if err != nil {
		return nil, err
	}
	s := &Shards{Column: o.Column, options: o, verdicts: map[[2]int]bool{}}
	for _, path := range files {
		size, rows, err := footerOf(path, o)
		if o.SkipBad && errors.As(err, new(damage)) {
			s.badFiles++
			s.log("skipped a file: %v", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		s.Files = append(s.Files, path)
		s.shards = append(s.shards, shard{size: size, rows: rows, first: s.rows})
		s.rows += rows
	}
	if len(s.Files) == 0 {
		return nil, fmt.Errorf("%s: none of %d files is readable", pattern, s.badFiles)
	}
	return s, nil
}

// footerOf is a file's size and number of rows.
func footerOf(path string, o OpenOptions) (size, rows int64, err error) {
	f, err := openColumn(path, o.Column, o.Filter)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	if f.rows == 0 {
		return 0, 0, damage{fmt.Errorf("%s: the file has no rows; remove it", path)}
	}
	return f.size, f.rows, nil
}

// log tells who wants to know.
func (s *Shards) log(format string, args ...any) {
	if s.options.Log != nil {
		s.options.Log(fmt.Sprintf(format, args...))
	}
}

// isBad tells whether a row group is to be skipped. It reads all of it the first
// time; without SkipBad nothing is skipped and nothing is read.
func (s *Shards) isBad(f *columnFile, shard, group int) (bool, error) {
	if !s.options.SkipBad {
		return false, nil
	}
	s.mu.Lock()
	bad, known := s.verdicts[[2]int{shard, group}]
	s.mu.Unlock()
	if known {
		return bad, nil
	}
	_, err := f.reasons(group, s.options.Filter)
	if err == nil {
		for _, e := range f.values(group) {
			if e != nil {
				err = fmt.Errorf("column %q: %w", s.Column, e)
			}
		}
	}
	if errors.As(err, new(readError)) {
		return false, err // not the data's fault: another time it may be read
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known = s.verdicts[[2]int{shard, group}]; !known && err != nil {
		s.log("skipped %d rows: %s: row group %d, %v", f.reader.MetaData().RowGroup(group).NumRows(), f.path, group, err)
	}
	s.verdicts[[2]int{shard, group}] = err != nil
	return err != nil, nil
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

// Rows is the number of rows of all shards, dropped ones included.
func (s *Shards) Rows() int64 { return s.rows }

// BadFiles is the number of files that SkipBad left out as a whole.
func (s *Shards) BadFiles() int { return s.badFiles }

// Dropped counts the rows that were no documents so far, over every reading by
// Documents.
func (s *Shards) Dropped() Dropped {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// Nulls is the number of null rows so far.
func (s *Shards) Nulls() int64 { return s.Dropped().Nulls }

func (s *Shards) count(r row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped.add(r.dropped, r.rows)
}

// Identity is a SHA-256 over the files' names (without directories), sizes and
// row counts and the column, in hexadecimal, and after it in words what else
// decides which rows are documents: the filter and SkipBad. Moving the
// directory keeps it.
func (s *Shards) Identity() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", s.Column)
	for i, f := range s.Files {
		fmt.Fprintf(h, "%q %d %d\n", filepath.Base(f), s.shards[i].size, s.shards[i].rows)
	}
	id := hex.EncodeToString(h.Sum(nil))
	if f := s.options.Filter.String(); f != "" {
		id += ", " + f
	}
	if s.options.SkipBad {
		id += ", skip-bad"
	}
	return id
}
