package pretokenize

import (
	"fmt"
	"slices"

	"steplm/data/tokenizer/internal/pattern"
)

// Behavior is what becomes of the matches of a pattern and of what lies between them.
type Behavior string

// The behaviors by the names that files give them.
const (
	Removed            Behavior = "Removed"            // matches are left out
	Isolated           Behavior = "Isolated"           // every match is a piece
	Contiguous         Behavior = "Contiguous"         // matches that touch are one piece
	MergedWithPrevious Behavior = "MergedWithPrevious" // a match ends the piece before it
	MergedWithNext     Behavior = "MergedWithNext"     // a match begins the piece after it
)

func (b Behavior) check() error {
	if slices.Contains([]Behavior{Removed, Isolated, Contiguous, MergedWithPrevious, MergedWithNext}, b) {
		return nil
	}
	return fmt.Errorf("behavior %q is not supported, only Removed, Isolated, Contiguous, MergedWithPrevious and "+
		"MergedWithNext are", b)
}

// apply appends the pieces of p, whose spans are given.
func (b Behavior) apply(to []Piece, p Piece, spans []pattern.Span) []Piece {
	add := func(start, end int) { to = append(to, Piece{p.Text[start:end], p.First && start == 0}) }
	var merged []pattern.Span
	before := false // whether the span before matched
	join := func(s pattern.Span, joins bool) {
		if last := len(merged) - 1; joins && last >= 0 {
			merged[last].Start, merged[last].End = min(merged[last].Start, s.Start), max(merged[last].End, s.End)
		} else {
			merged = append(merged, s)
		}
		before = s.Match
	}
	switch b {
	case Removed:
		for _, s := range spans {
			if !s.Match {
				add(s.Start, s.End)
			}
		}
		return to
	case Contiguous:
		for _, s := range spans {
			join(s, s.Match == before)
		}
	case MergedWithPrevious:
		for _, s := range spans {
			join(s, s.Match && !before)
		}
	case MergedWithNext:
		for _, s := range slices.Backward(spans) {
			join(s, s.Match && !before)
		}
		slices.Reverse(merged)
	default:
		merged = spans
	}
	for _, s := range merged {
		add(s.Start, s.End)
	}
	return to
}

// runeSpans are the spans of a text by single runes: each rune that matches is one, and so is what lies between.
func runeSpans(text string, match func(r rune) bool) []pattern.Span {
	var spans []pattern.Span
	last := 0
	for i, r := range text {
		if !match(r) {
			continue
		}
		if last < i {
			spans = append(spans, pattern.Span{Start: last, End: i})
		}
		last = i + len(string(r))
		spans = append(spans, pattern.Span{Start: i, End: last, Match: true})
	}
	if last < len(text) {
		spans = append(spans, pattern.Span{Start: last, End: len(text)})
	}
	return spans
}
