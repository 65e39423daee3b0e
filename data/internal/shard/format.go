package shard

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"iter"
	"sort"

	"steplm/data/inspect"
)

// TextColumn is the column that is read where no other is asked for.
const TextColumn = "text"

// Ask is what is asked of a file.
type Ask struct {
	Column  string // the text's
	Filter  Filter // by columns
	SkipBad bool   // a row that is damaged by itself is left out, where a format has such
	// MaxLine bounds a line and a text file, in bytes, as data/parquet does a page; 0 = DefaultMaxLine.
	MaxLine int64
}

// DefaultMaxLine is the most bytes of a line where nothing else is asked for.
const DefaultMaxLine = 256 << 20

// Longest is the most bytes that a line may have.
func (a Ask) Longest() int64 { return cmp.Or(a.MaxLine, DefaultMaxLine) }

// Format reads files of one kind.
type Format interface {
	// Scan learns what a file holds and refuses one that lacks what is asked for.
	Scan(path string, o Ask) (Layout, error)
	// Open opens a file that was scanned before. One that has changed since is an
	// error, there or when its rows are read.
	Open(path string, o Ask, known Layout) (File, error)
	// Inspect adds up what a file holds, asked for or not.
	Inspect(path string, in *inspect.Inspector) error
}

// Layout is what a scan learns of a file.
type Layout struct {
	Size    int64
	Groups  []int64           // rows of each row group
	Firsts  []int64           // the first row of each
	Offsets []int64           // where each begins, in formats without a footer
	Longest int64             // bytes of the longest line or text, likewise: what reading takes at once
	Sum     [sha256.Size]byte // of the footer, or of all bytes in formats without one
}

// Add appends a row group.
func (l *Layout) Add(rows int64) {
	l.Firsts = append(l.Firsts, l.Rows())
	l.Groups = append(l.Groups, rows)
}

// Rows is how many there are.
func (l Layout) Rows() int64 {
	last := len(l.Groups) - 1
	if last < 0 {
		return 0
	}
	return l.Firsts[last] + l.Groups[last]
}

// At finds the row group that holds a row; behind the last row there is none, and
// it is their number.
func (l Layout) At(row int64) (group int) {
	return sort.Search(len(l.Groups), func(g int) bool { return row < l.Firsts[g]+l.Groups[g] })
}

// File is an open file. Its rows lie in row groups, which are read by
// themselves and in any order.
type File interface {
	// Rows yields all rows of a row group, in order, or an error at the end that
	// says where in the file it is.
	Rows(group int) iter.Seq2[Value, error]
	Close() error
}

// Value is one row of a row group.
type Value struct {
	Row     int64 // within the row group
	Text    string
	Dropped Reason // by what the file alone tells: no text, the filter's columns, damage of this row
	Damage  error  // why a row is skipped
}

// Damage is what is wrong with a file, not with what was asked of it.
type Damage struct{ Err error }

func (d Damage) Error() string { return d.Err.Error() }

func (d Damage) Unwrap() error { return d.Err }

// Changed says that a file is not what it was.
func Changed(path string, size int64, known Layout) error {
	return fmt.Errorf("%s: the file changed while in use: it has %d bytes, had %d bytes and %d rows", path, size,
		known.Size, known.Rows())
}

// Request is what is wrong with what was asked of a file, not with the file.
type Request struct{ Err error }

func (r Request) Error() string { return r.Err.Error() }

func (r Request) Unwrap() error { return r.Err }

// ReadError is a failure of the disk, not of what lies on it.
type ReadError struct{ Err error }

func (e ReadError) Error() string { return e.Err.Error() }

func (e ReadError) Unwrap() error { return e.Err }
