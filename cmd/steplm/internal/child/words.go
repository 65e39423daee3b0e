// Package child tells why a process that this program started, itself once more, has ended: what a driver or its
// compiler might end or hold up is tried in one.
package child

import (
	"regexp"
	"strconv"
	"strings"
)

// hiddenText is how the native library reports an error whose text holds a zero byte, as
// those of DX12's compiler do: it panics over the byte and prints all of them as numbers.
var hiddenText = regexp.MustCompile(`NulError\(\d+, \[([0-9, ]*)\]\)`)

// panicText is the native library's panic: of one line or several, up to where in its source it happened.
var panicText = regexp.MustCompile(`(?s)thread '[^']*' panicked at .*?\.rs:\d+:\d+`)

// LastWords is, in one line, why a process ended, by its standard error: the error that
// is hidden in a panic, else the panic, else the last line.
func LastWords(stderr string) string {
	if m := hiddenText.FindStringSubmatch(stderr); m != nil {
		var text []byte
		for _, number := range strings.Split(m[1], ", ") {
			if b, err := strconv.Atoi(number); err == nil && b != 0 {
				text = append(text, byte(b))
			}
		}
		return compilerError(string(text))
	}
	if panicked := panicText.FindString(stderr); panicked != "" {
		return Fold(panicked)
	}
	last := "it said nothing"
	for _, line := range strings.Split(stderr, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			last = strings.TrimPrefix(line, "steplm: error: ")
		}
	}
	return Fold(last)
}

// compilerError is the first error of a compiler's message: the others explain it. The
// library's own words, and the file that never was, stand before it.
func compilerError(text string) string {
	for _, line := range strings.Split(text, "\n") {
		if at := strings.Index(line, "error X"); at >= 0 {
			return strings.TrimSpace(line[at:])
		}
	}
	return Fold(text)
}

// Fold makes one line of several.
func Fold(s string) string { return strings.Join(strings.Fields(s), " ") }
