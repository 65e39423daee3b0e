package data

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"steplm/data/internal/kind"
	"steplm/data/internal/shard"
	"steplm/data/text"
	"steplm/internal/disk"
)

// Columns that are read, as FineWeb-Edu names them: that of Open, and those of filters.
const (
	TextColumn     = shard.TextColumn
	ScoreColumn    = shard.ScoreColumn
	LanguageColumn = shard.LanguageColumn
)

// DefaultMaxLine is the most bytes of a line of JSON Lines, and of a text file, where
// OpenOptions do not say.
const DefaultMaxLine = shard.DefaultMaxLine

// What is asked of shards and found in them, which the packages of formats know too.
type (
	// Filter says which documents are left out.
	Filter = shard.Filter
	// Dropped counts the rows that are no documents, by why.
	Dropped = shard.Dropped
	// Position is a row of a set of shards: the next one to read.
	Position = shard.Position
)

// Shards is an ordered set of files with one column of text each. It is safe for
// concurrent use.
type Shards struct {
	Files  []string // in file order: sorted by path
	Column string   // the column, or field, that is read

	pattern  string // as it was asked for
	options  OpenOptions
	formats  []shard.Format // of Files
	shards   []shard.Layout // likewise
	rows     int64
	badFiles int

	mu       sync.Mutex
	verdicts map[shard.Unit]bool // whether a row group is skipped
	told     map[Position]bool
	dropped  Dropped

	repeatedMu sync.Mutex
	repeats    *rowSet // nil until they are asked for
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
	// MaxLine bounds a line of JSON Lines and a text file, in bytes; 0 = DefaultMaxLine.
	MaxLine int64
	Log     func(message string) // told what is skipped, once for each; nil = nobody
	// Of files that are yet to come: a file with the same size and footer, and what
	// waits for the file itself before its rows are read. nil: all are there.
	StandIn func(path string) (string, error)
	Wait    func(ctx context.Context, path string) error

	seenSets int // tests set it; 0 = the constant
}

// ask is what is asked of each file.
func (o OpenOptions) ask() shard.Ask {
	return shard.Ask{Column: o.Column, Filter: o.Filter, SkipBad: o.SkipBad, MaxLine: o.MaxLine}
}

// Open finds the files that pattern names (one file, a directory with all
// files of one kind below it, or a glob of either) and checks what each holds: the
// text column must be there, with at least one row. Parquet's footers say so;
// JSON Lines and text files are read once. The text itself is read by Documents.
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
	files, err := Find(pattern)
	if err != nil {
		return nil, err
	}
	return OpenFiles(pattern, files, o)
}

// OpenFiles is OpenWith for files, sorted by path; errors that concern them all
// call them by a name.
func OpenFiles(name string, files []string, o OpenOptions) (*Shards, error) {
	if err := o.Filter.Check(); err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	if o.Column == "" {
		o.Column = TextColumn
	}
	if o.seenSets == 0 {
		o.seenSets = seenSets
	}
	s := &Shards{Column: o.Column, pattern: name, options: o, verdicts: map[shard.Unit]bool{},
		told: map[Position]bool{}}
	var empty []string
	for _, path := range files {
		known, err := path, error(nil)
		if o.StandIn != nil {
			if known, err = o.StandIn(path); err != nil {
				return nil, err
			}
		}
		f, l, err := scan(known, o.ask())
		if o.SkipBad && errors.As(err, new(shard.Damage)) {
			s.badFiles++
			s.log("skipped a file: %v", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		if l.Rows() == 0 {
			empty = append(empty, path)
			continue
		}
		s.Files = append(s.Files, path)
		s.formats = append(s.formats, f)
		s.shards = append(s.shards, l)
		s.rows += l.Rows()
	}
	switch {
	case len(s.Files) > 0:
		for _, path := range empty {
			s.log("%s: a file of 0 rows", path)
		}
		return s, nil
	case s.badFiles == 0:
		return nil, fmt.Errorf("%s: no rows%s", empty[0], andOthers(len(empty)-1))
	}
	return nil, fmt.Errorf("%s: none of %d files is readable", name, s.badFiles)
}

// scan learns what a file is and what it holds.
func scan(path string, o shard.Ask) (shard.Format, shard.Layout, error) {
	f, err := kind.Of(path)
	if err != nil {
		return nil, shard.Layout{}, err
	}
	if class, _ := kind.ByName(path); class != kind.Text && f == (text.Whole{}) {
		return nil, shard.Layout{}, shard.Damage{Err: fmt.Errorf("%s: not a readable Parquet file, but plain text; a "+
			"name that ends in .txt says that it is one document", path)}
	}
	l, err := f.Scan(path, o)
	return f, l, err
}

// andOthers ends a sentence about one of some files.
func andOthers(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return ", as in another file"
	}
	return fmt.Sprintf(", as in %d others", n)
}

// log tells who wants to know.
func (s *Shards) log(format string, args ...any) {
	if s.options.Log != nil {
		s.options.Log(fmt.Sprintf(format, args...))
	}
}

// Find lists the files that a pattern names, see Open: sorted, each once.
func Find(pattern string) ([]string, error) {
	// A path that exists is taken as it is, so that brackets in it need no escape.
	matches := []string{pattern}
	if _, err := os.Stat(pattern); err != nil {
		if !disk.Missing(err) { // Windows takes no pattern for a name.
			return nil, err
		}
		if matches, err = glob(pattern); err != nil {
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
	slices.Sort(files)
	return slices.Compact(files), nil
}

// glob lists what matches a pattern. The folders that it begins with and that are there are taken as they are, so that
// brackets in them need no escape.
func glob(pattern string) ([]string, error) {
	lead, rest := filepath.Dir(pattern), filepath.Base(pattern)
	for {
		if info, err := os.Stat(lead); err == nil && info.IsDir() {
			break
		}
		above := filepath.Dir(lead)
		if above == lead {
			return filepath.Glob(pattern)
		}
		lead, rest = above, path.Join(filepath.Base(lead), rest)
	}
	matches, err := fs.Glob(os.DirFS(lead), rest)
	for i, m := range matches {
		matches[i] = filepath.Join(lead, filepath.FromSlash(m))
	}
	return matches, err
}

// walk lists the files of one kind below dir: Parquet or JSON Lines; or plain .json files,
// which are often about the data, if there are neither; or text files if there is nothing
// else. Links to files count (a hub cache consists of them), links to directories below dir do
// not; nor do hidden files and directories.
func walk(dir string) ([]string, error) {
	found := map[kind.Class][]string{}
	root := dir + string(filepath.Separator) // so that dir may be a link itself
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != root && strings.HasPrefix(d.Name(), ".") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.IsDir() {
			class, _ := kind.ByName(path)
			found[class] = append(found[class], path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if c, l := len(found[kind.Columns]), len(found[kind.Lines]); c > 0 && l > 0 {
		return nil, fmt.Errorf("%s: %d Parquet and %d JSON Lines files below this directory; say which are meant by a "+
			"pattern, such as %s", dir, c, l, filepath.Join(dir, "*.parquet"))
	}
	for _, class := range []kind.Class{kind.Columns, kind.Lines, kind.JSON, kind.Text} {
		if len(found[class]) > 0 {
			return found[class], nil
		}
	}
	return nil, fmt.Errorf("%s: no *%s file below this directory", dir, strings.Join(kind.Suffixes(), ", *"))
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
	s.dropped.Add(r.dropped, r.rows)
}

// Identity is a SHA-256 over the files' names (without directories), sizes, row
// counts and footers (contents, where a format has none) and the column, in
// hexadecimal, and after it in words what else decides which rows are documents:
// the filter and SkipBad. Moving the directory keeps it.
func (s *Shards) Identity() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", s.Column)
	for i, f := range s.Files {
		fmt.Fprintf(h, "%q %d %d %x\n", filepath.Base(f), s.shards[i].Size, s.shards[i].Rows(), s.shards[i].Sum)
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
