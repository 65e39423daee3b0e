package runes

import (
	"strings"
	"unicode/utf8"
)

// ByteRune gives the printable rune by which vocabularies write each byte, and RuneByte is its inverse (-1: no byte).
// GPT-2 chose it: printable Latin-1 characters stand for themselves, the other 68 bytes are U+0100 onwards.
var ByteRune, RuneByte = byteAlphabet()

func byteAlphabet() (runes [256]rune, inverse [256 + 68]int16) {
	for i := range inverse {
		inverse[i] = -1
	}
	spare := rune(256)
	for b := range runes {
		printable := '!' <= b && b <= '~' || 0xA1 <= b && b <= 0xFF && b != 0xAD
		if printable {
			runes[b] = rune(b)
		} else {
			runes[b] = spare
			spare++
		}
		inverse[runes[b]] = int16(b)
	}
	return runes, inverse
}

// TokenBytes returns the bytes that a vocabulary entry stands for. An entry with a rune outside the byte alphabet
// stands for its own UTF-8, as in Hugging Face's ByteLevel decoder, and ok is false.
func TokenBytes(token string) (text string, ok bool) {
	raw := make([]byte, 0, len(token))
	for _, r := range token {
		if int(r) >= len(RuneByte) || RuneByte[r] < 0 {
			return token, false
		}
		raw = append(raw, byte(RuneByte[r]))
	}
	return string(raw), true
}

// ReplaceInvalid returns s with U+FFFD for each maximal subpart of an invalid UTF-8 sequence (The Unicode Standard,
// section 3.9). strings.ToValidUTF8 replaces whole runs and a range loop single bytes; neither agrees with the
// reference.
func ReplaceInvalid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			n = invalidLength(s[i:])
		}
		b.WriteRune(r)
		i += n
	}
	return b.String()
}

// invalidLength returns how many bytes at the start of s, which is no valid character, could have begun one.
func invalidLength(s string) int {
	low, high, more := byte(0x80), byte(0xBF), 0
	switch lead := s[0]; {
	case 0xE0 <= lead && lead <= 0xEF:
		more = 1
		if lead == 0xE0 {
			low = 0xA0 // below: overlong
		} else if lead == 0xED {
			high = 0x9F // above: surrogate
		}
	case 0xF0 <= lead && lead <= 0xF4:
		more = 2
		if lead == 0xF0 {
			low = 0x90 // below: overlong
		} else if lead == 0xF4 {
			high = 0x8F // above: beyond U+10FFFF
		}
	}
	n := 1
	for n <= more && n < len(s) && low <= s[n] && s[n] <= high {
		n++
		low, high = 0x80, 0xBF
	}
	return n
}

// MapBytes writes each byte of text as the rune that stands for it.
func MapBytes(text string) string {
	var b strings.Builder
	b.Grow(2 * len(text))
	for i := range len(text) {
		b.WriteRune(ByteRune[text[i]])
	}
	return b.String()
}
