package runes

import (
	"unicode"
	"unicode/utf8"
)

// Class is what the split patterns of GPT-2 and its kin can tell about a rune.
type Class uint8

// The classes: a rune is in exactly one.
const (
	Other  Class = iota
	Letter       // \p{L}
	Number       // \p{N}
	White        // \s
)

// classes has one entry for every rune, so that splitting needs no search.
var classes = expandClasses()

func expandClasses() *[unicode.MaxRune + 1]Class {
	var table [unicode.MaxRune + 1]Class
	fill := func(low, high rune, c Class) {
		for r := low; r <= high; r++ {
			table[r] = c
		}
	}
	for _, n := range categoryRanges {
		switch n.name[0] {
		case 'L':
			fill(n.low, n.high, Letter)
		case 'N':
			fill(n.low, n.high, Number)
		}
	}
	for _, r := range Space {
		fill(r.Low, r.High, White)
	}
	return &table
}

// ClassOf is the class of a rune.
func ClassOf(r rune) Class { return classes[r] }

// ClassAt returns the class and the length in bytes of the rune at s[i:]; the length is 0 at the end.
func ClassAt(s string, i int) (Class, int) {
	if i >= len(s) {
		return Other, 0
	}
	if b := s[i]; b < utf8.RuneSelf {
		return classes[b], 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return classes[r], n
}

// Skip returns the end of the run of runes of class c that starts at s[i:], which may be empty.
func Skip(s string, i int, c Class) int {
	for {
		got, n := ClassAt(s, i)
		if n == 0 || got != c {
			return i
		}
		i += n
	}
}
