package shard

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
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

// Check refuses filters that cannot be meant.
func (f Filter) Check() error {
	switch {
	case f.MinScore != nil && (math.IsNaN(*f.MinScore) || math.IsInf(*f.MinScore, 0)):
		return fmt.Errorf("a minimum score of %v", *f.MinScore)
	case f.MinChars < 0 || f.MaxChars < 0:
		return fmt.Errorf("a minimum of %d characters and a maximum of %d; both must be 0 or more", f.MinChars,
			f.MaxChars)
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

// Columns are those that the filter reads besides the text.
func (f Filter) Columns() []string {
	var names []string
	if f.MinScore != nil {
		names = append(names, ScoreColumn)
	}
	if len(f.Languages) > 0 {
		names = append(names, LanguageColumn)
	}
	return names
}

// Text is why a text is left out.
func (f Filter) Text(text string) Reason {
	if f.MinChars > 0 || f.MaxChars > 0 {
		n := int64(utf8.RuneCountInString(text))
		if n < f.MinChars {
			return Short
		}
		if f.MaxChars > 0 && n > f.MaxChars {
			return Long
		}
	}
	if f.Holdout > 0 && f.isHeldOut(text) != f.HeldOut {
		return HeldOut
	}
	return Kept
}

// isHeldOut looks at the first 53 bits of the text's SHA-256.
func (f Filter) isHeldOut(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) < f.Holdout*(1<<53)
}

// Reason is why a row is no document.
type Reason uint8

const (
	Kept Reason = iota
	NoText
	Skipped
	LowScore
	Language
	Short
	Long
	HeldOut
	Duplicate
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

// Plus is the sum of two counts.
func (d Dropped) Plus(o Dropped) Dropped {
	return Dropped{
		Nulls: d.Nulls + o.Nulls, Skipped: d.Skipped + o.Skipped, LowScore: d.LowScore + o.LowScore,
		Language: d.Language + o.Language,
		Short:    d.Short + o.Short, Long: d.Long + o.Long, HeldOut: d.HeldOut + o.HeldOut,
		Duplicate: d.Duplicate + o.Duplicate,
	}
}

func (d *Dropped) Add(r Reason, n int64) {
	switch r {
	case NoText:
		d.Nulls += n
	case Skipped:
		d.Skipped += n
	case LowScore:
		d.LowScore += n
	case Language:
		d.Language += n
	case Short:
		d.Short += n
	case Long:
		d.Long += n
	case HeldOut:
		d.HeldOut += n
	case Duplicate:
		d.Duplicate += n
	}
}
