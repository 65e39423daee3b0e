package pretokenize

import (
	"unicode/utf8"

	"steplm/data/tokenizer/internal/runes"
)

// Digits sets numbers apart, and each digit from the next where Individual says so.
type Digits struct {
	Type       string `json:"type"`
	Individual bool   `json:"individual_digits"`
}

// Part is the pre-tokenizer.
func (d *Digits) Part() PreTokenizer { return d }

// Check finds nothing to refuse.
func (d *Digits) Check() error { return nil }

// Next ends after a digit, a number or what is none.
func (d *Digits) Next(text string, at int) int {
	r, n := utf8.DecodeRuneInString(text[at:])
	first := isNumeric(r)
	at += n
	for at < len(text) && !(first && d.Individual) {
		r, n := utf8.DecodeRuneInString(text[at:])
		if isNumeric(r) != first {
			break
		}
		at += n
	}
	return at
}

func isNumeric(r rune) bool {
	if r < 0x80 {
		return '0' <= r && r <= '9'
	}
	return runes.Numeric.Contains(r)
}

// Cut cuts a piece.
func (d *Digits) Cut(to []Piece, p Piece) ([]Piece, error) { return scan(d, to, p), nil }

// Punctuation sets punctuation apart.
type Punctuation struct {
	Type     string   `json:"type"`
	Behavior Behavior `json:"behavior"`
}

// Part is the pre-tokenizer.
func (q *Punctuation) Part() PreTokenizer { return q }

// Check gives the behavior its default.
func (q *Punctuation) Check() error {
	if q.Behavior == "" {
		q.Behavior = Isolated
	}
	return q.Behavior.check()
}

// Cut cuts a piece.
func (q *Punctuation) Cut(to []Piece, p Piece) ([]Piece, error) {
	return q.Behavior.apply(to, p, runeSpans(p.Text, runes.Punctuation.Contains)), nil
}

// WhitespaceSplit cuts at white space and leaves it out.
type WhitespaceSplit struct {
	Type string `json:"type"`
}

// Part is the pre-tokenizer.
func (w *WhitespaceSplit) Part() PreTokenizer { return w }

// Check finds nothing to refuse.
func (w *WhitespaceSplit) Check() error { return nil }

// Cut cuts a piece.
func (w *WhitespaceSplit) Cut(to []Piece, p Piece) ([]Piece, error) {
	return Removed.apply(to, p, runeSpans(p.Text, runes.Space.Contains)), nil
}

// Whitespace cuts at white space and leaves it out, and sets words and what is neither apart: \w+|[^\w\s]+.
type Whitespace struct {
	Type string `json:"type"`
}

// Part is the pre-tokenizer.
func (w *Whitespace) Part() PreTokenizer { return w }

// Check finds nothing to refuse.
func (w *Whitespace) Check() error { return nil }

// Cut cuts a piece.
func (w *Whitespace) Cut(to []Piece, p Piece) ([]Piece, error) {
	const white, word, other = 0, 1, 2
	start, kind := 0, white
	for i, r := range p.Text {
		now := other
		if runes.Word.Contains(r) {
			now = word
		} else if runes.Space.Contains(r) {
			now = white
		}
		if now != kind {
			if kind != white {
				to = append(to, Piece{p.Text[start:i], p.First && start == 0})
			}
			start, kind = i, now
		}
	}
	if kind != white {
		to = append(to, Piece{p.Text[start:], p.First && start == 0})
	}
	return to, nil
}

// CharDelimiterSplit cuts at one rune and leaves it out.
type CharDelimiterSplit struct {
	Type      string `json:"type"`
	Delimiter char   `json:"delimiter"`
}

// Part is the pre-tokenizer.
func (c *CharDelimiterSplit) Part() PreTokenizer { return c }

// Check finds nothing to refuse.
func (c *CharDelimiterSplit) Check() error { return nil }

// Cut cuts a piece.
func (c *CharDelimiterSplit) Cut(to []Piece, p Piece) ([]Piece, error) {
	return Removed.apply(to, p, runeSpans(p.Text, func(r rune) bool { return r == rune(c.Delimiter) })), nil
}

// Bert cuts at white space, leaves it out, and makes a piece of every punctuation mark.
type Bert struct {
	Type string `json:"type"`
}

// Part is the pre-tokenizer.
func (b *Bert) Part() PreTokenizer { return b }

// Check finds nothing to refuse.
func (b *Bert) Check() error { return nil }

// Cut cuts a piece.
func (b *Bert) Cut(to []Piece, p Piece) ([]Piece, error) {
	for _, piece := range Removed.apply(nil, p, runeSpans(p.Text, runes.Space.Contains)) {
		to = Isolated.apply(to, piece, runeSpans(piece.Text, runes.Punctuation.Contains))
	}
	return to, nil
}
