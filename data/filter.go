package data

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/file"
)

// Columns that filters read, as FineWeb-Edu names them.
const (
	ScoreColumn    = "score"
	LanguageColumn = "language"
)

// Filter says which documents are left out; the zero Filter leaves out none.
// What it decides depends on the shards alone, never on where a reading began.
type Filter struct {
	MinScore  *float64 // least value of the score column; a null is too low; nil = any
	Languages []string // values of the language column; none = any
	MinChars  int64    // Unicode characters of the text
	MaxChars  int64    // likewise; 0 = any number
	Dedupe    bool     // leave out texts that came before, in file order, see seen
	// Holdout is the share of documents that is kept apart for validation, by the
	// hash of the text: whatever shards are added, a document stays on its side.
	Holdout float64
	HeldOut bool // keep those that are kept apart, and not the others
}

// check refuses filters that cannot be meant.
func (f Filter) check() error {
	switch {
	case f.MinScore != nil && (math.IsNaN(*f.MinScore) || math.IsInf(*f.MinScore, 0)):
		return fmt.Errorf("a minimum score of %v", *f.MinScore)
	case f.MinChars < 0 || f.MaxChars < 0:
		return fmt.Errorf("a minimum of %d characters and a maximum of %d; both must be 0 or more", f.MinChars, f.MaxChars)
	case f.MaxChars > 0 && f.MaxChars < f.MinChars:
		return fmt.Errorf("a maximum of %d characters is below the minimum of %d", f.MaxChars, f.MinChars)
	case !(f.Holdout >= 0 && f.Holdout < 1) || f.HeldOut && f.Holdout == 0:
		return fmt.Errorf("a share of %g held out; it must be 0 or more and below 1", f.Holdout)
	case slices.Contains(f.Languages, ""):
		return fmt.Errorf("an empty language among %q", f.Languages)
	}
	return nil
}

// String names what is filtered, as the command line does; "" if nothing is.
func (f Filter) String() string {
	var parts []string
	if f.MinScore != nil {
		parts = append(parts, fmt.Sprintf("min-score %v", *f.MinScore))
	}
	if len(f.Languages) > 0 {
		languages := slices.Clone(f.Languages)
		slices.Sort(languages)
		parts = append(parts, "language "+strings.Join(slices.Compact(languages), ","))
	}
	if f.MinChars > 0 {
		parts = append(parts, fmt.Sprintf("min-chars %d", f.MinChars))
	}
	if f.MaxChars > 0 {
		parts = append(parts, fmt.Sprintf("max-chars %d", f.MaxChars))
	}
	if f.Dedupe {
		parts = append(parts, "dedupe")
	}
	if f.HeldOut {
		parts = append(parts, fmt.Sprintf("the %v held out", f.Holdout))
	} else if f.Holdout > 0 {
		parts = append(parts, fmt.Sprintf("holdout %v", f.Holdout))
	}
	return strings.Join(parts, ", ")
}

// columns are those that the filter reads besides the text.
func (f Filter) columns() []string {
	var names []string
	if f.MinScore != nil {
		names = append(names, ScoreColumn)
	}
	if len(f.Languages) > 0 {
		names = append(names, LanguageColumn)
	}
	return names
}

// text is why a text is left out.
func (f Filter) text(text string) reason {
	if f.MinChars > 0 || f.MaxChars > 0 {
		n := int64(utf8.RuneCountInString(text))
		if n < f.MinChars {
			return short
		}
		if f.MaxChars > 0 && n > f.MaxChars {
			return long
		}
	}
	if f.Holdout > 0 && f.isHeldOut(text) != f.HeldOut {
		return heldOut
	}
	return kept
}

// isHeldOut looks at the first 53 bits of the text's SHA-256.
func (f Filter) isHeldOut(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) < f.Holdout*(1<<53)
}

// reason is why a row is no document.
type reason uint8

const (
	kept reason = iota
	noText
	skipped
	lowScore
	language
	short
	long
	heldOut
	duplicate
)

// Dropped counts the rows that are no documents, by why. A row counts once, by
// the first reason in the order here (but a skipped row group's rows are
// skipped, whatever they hold).
type Dropped struct {
	Nulls     int64 `json:"nulls"`                // without text
	Skipped   int64 `json:"skipped,omitempty"`    // in damaged row groups
	LowScore  int64 `json:"low_score,omitempty"`  // filtered, as the following
	Language  int64 `json:"language,omitempty"`   // another or none
	Short     int64 `json:"short,omitempty"`      // too few characters
	Long      int64 `json:"long,omitempty"`       // too many
	HeldOut   int64 `json:"held_out,omitempty"`   // on the other side of Holdout
	Duplicate int64 `json:"duplicates,omitempty"` // of a text before it
}

// Filtered is the number of rows that the filters left out.
func (d Dropped) Filtered() int64 {
	return d.LowScore + d.Language + d.Short + d.Long + d.HeldOut + d.Duplicate
}

// Total is the number of rows that are no documents.
func (d Dropped) Total() int64 { return d.Nulls + d.Skipped + d.Filtered() }

// plus is the sum of two counts.
func (d Dropped) plus(o Dropped) Dropped {
	return Dropped{
		Nulls: d.Nulls + o.Nulls, Skipped: d.Skipped + o.Skipped, LowScore: d.LowScore + o.LowScore, Language: d.Language + o.Language,
		Short: d.Short + o.Short, Long: d.Long + o.Long, HeldOut: d.HeldOut + o.HeldOut, Duplicate: d.Duplicate + o.Duplicate,
	}
}

func (d *Dropped) add(r reason, n int64) {
	switch r {
	case noText:
		d.Nulls += n
	case skipped:
		d.Skipped += n
	case lowScore:
		d.LowScore += n
	case language:
		d.Language += n
	case short:
		d.Short += n
	case long:
		d.Long += n
	case heldOut:
		d.HeldOut += n
	case duplicate:
		d.Duplicate += n
	}
}

// reasons are why rows of a row group are left out by their columns; nil if the
// filter reads none.
func (f *columnFile) reasons(group int, filter Filter) ([]reason, error) {
	var all []reason
	if filter.MinScore != nil {
		err := f.numbers(group, f.filters[ScoreColumn], func(score float64, null bool) {
			r := kept
			if null || !(score >= *filter.MinScore) {
				r = lowScore
			}
			all = append(all, r)
		})
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", ScoreColumn, err)
		}
	}
	if len(filter.Languages) > 0 {
		row := 0
		for v, err := range cells[parquet.ByteArray](f, group, f.filters[LanguageColumn]) {
			if err != nil {
				return nil, fmt.Errorf("column %q: %w", LanguageColumn, err)
			}
			r := kept
			if v.null || !slices.Contains(filter.Languages, string(v.value)) {
				r = language
			}
			if filter.MinScore == nil {
				all = append(all, r)
			} else {
				all[row] = cmp.Or(all[row], r)
			}
			row++
		}
	}
	return all, nil
}

// numbers reads a column of numbers in one row group.
func (f *columnFile) numbers(group, column int, each func(v float64, null bool)) error {
	switch t := f.reader.MetaData().Schema.Column(column).PhysicalType(); t {
	case parquet.Types.Double:
		return eachNumber[float64](f, group, column, each)
	case parquet.Types.Float:
		return eachNumber[float32](f, group, column, each)
	case parquet.Types.Int64:
		return eachNumber[int64](f, group, column, each)
	case parquet.Types.Int32:
		return eachNumber[int32](f, group, column, each)
	default:
		return fmt.Errorf("values of type %s are no numbers", t)
	}
}

func eachNumber[T float64 | float32 | int64 | int32](f *columnFile, group, column int, each func(v float64, null bool)) error {
	for v, err := range cells[T](f, group, column) {
		if err != nil {
			return err
		}
		each(float64(v.value), v.null)
	}
	return nil
}

// chunkReader is what Arrow's readers of all types have.
type chunkReader[T any] interface {
	file.ColumnChunkReader
	ReadBatch(n int64, values []T, definition, repetition []int16) (rows int64, read int, err error)
}
