package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// class is what the split patterns can tell about a rune.
type class uint8

const (
	other  class = iota
	letter       // \p{L}
	number       // \p{N}
	space        // \s
)

type classRange struct {
	low, high rune
	class     class
}

// classes has one entry for every rune, so that splitting needs no search.
var classes = expandClasses()

func expandClasses() *[unicode.MaxRune + 1]class {
	var table [unicode.MaxRune + 1]class
	for _, r := range classRanges {
		for c := r.low; c <= r.high; c++ {
			table[c] = r.class
		}
	}
	return &table
}

// classAt returns the class and the length in bytes of the rune at s[i:]; the length is 0 at the end.
func classAt(s string, i int) (class, int) {
	if i >= len(s) {
		return other, 0
	}
	if b := s[i]; b < utf8.RuneSelf {
		return classes[b], 1
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	return classes[r], n
}

// skip returns the end of the run of runes of class c that starts at s[i:], which may be empty.
func skip(s string, i int, c class) int {
	for {
		got, n := classAt(s, i)
		if n == 0 || got != c {
			return i
		}
		i += n
	}
}
