package pattern

import (
	"slices"
	"strings"

	"steplm/data/tokenizer/internal/runes"
)

// Scanner does what a regular expression that matches any text does, written by hand: it tells where the match ends
// that starts at text[at:], for at < len(text), which depends on nothing before.
type Scanner struct {
	Name  string
	Regex string // as files write it
	Next  func(text string, at int) int
}

const (
	// llama3Rest is what follows numbers in the expressions of Llama 3 and Qwen 2.
	llama3Rest = `| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	llama3Word = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|`
)

// GPT2 is also what ByteLevel with use_regex applies.
var GPT2 = &Scanner{"GPT-2", `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, nextGPT2}

// Scanners are those of the expressions that well-known tokenizers have.
var Scanners = []*Scanner{
	GPT2,
	{"Llama 3", llama3Word + `\p{N}{1,3}` + llama3Rest, func(s string, i int) int { return nextLlama3(s, i, 3) }},
	{"Qwen 2", llama3Word + `\p{N}` + llama3Rest, func(s string, i int) int { return nextLlama3(s, i, 1) }},
	{"nanochat",
		`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`,
		func(s string, i int) int { return nextLlama3(s, i, 2) }},
}

// Known is the scanner of an expression, or nil.
func Known(regex string) *Scanner {
	if i := slices.IndexFunc(Scanners, func(s *Scanner) bool { return s.Regex == regex }); i >= 0 {
		return Scanners[i]
	}
	return nil
}

func nextGPT2(s string, i int) int {
	if n := contraction(s[i:], false); n > 0 {
		return i + n
	}
	start := i
	if s[i] == ' ' {
		start++
	}
	if c, n := runes.ClassAt(s, start); n > 0 && c != runes.White {
		return runes.Skip(s, start+n, c)
	}
	return nextSpaces(s, i)
}

func nextLlama3(s string, i, digits int) int {
	if n := contraction(s[i:], true); n > 0 {
		return i + n
	}
	c, n := runes.ClassAt(s, i)
	switch {
	case c == runes.Letter:
		return runes.Skip(s, i+n, runes.Letter)
	case c == runes.Number:
		end := i + n
		for range digits - 1 {
			c, n := runes.ClassAt(s, end)
			if n == 0 || c != runes.Number {
				break
			}
			end += n
		}
		return end
	}
	if s[i] != '\r' && s[i] != '\n' {
		if c, m := runes.ClassAt(s, i+n); m > 0 && c == runes.Letter {
			return runes.Skip(s, i+n+m, runes.Letter)
		}
	}
	start := i
	if s[i] == ' ' {
		start++
	}
	if c, n := runes.ClassAt(s, start); n > 0 && c == runes.Other {
		end := runes.Skip(s, start+n, runes.Other)
		for end < len(s) && (s[end] == '\r' || s[end] == '\n') {
			end++
		}
		return end
	}
	if newline := strings.LastIndexAny(s[i:runes.Skip(s, i, runes.White)], "\r\n"); newline >= 0 {
		return i + newline + 1
	}
	return nextSpaces(s, i)
}

// nextSpaces is \s+(?!\S)|\s+ : all white space, but its last rune is left to the word after it, if it is not the only
// one.
func nextSpaces(s string, i int) int {
	last, end := i, i
	for {
		c, n := runes.ClassAt(s, end)
		if n == 0 {
			return end
		}
		if c != runes.White {
			break
		}
		last, end = end, end+n
	}
	if last > i {
		return last
	}
	return end
}

// contraction returns the length of 's 't 're 've 'm 'll 'd at the start of s, or 0. With fold, upper case counts too,
// and so does U+017F, which folds to s.
func contraction(s string, fold bool) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	if fold && strings.HasPrefix(s[1:], "\u017f") {
		return 1 + len("\u017f")
	}
	first, second := s[1], byte(0)
	if len(s) > 2 {
		second = s[2]
	}
	if fold {
		first, second = lower(first), lower(second)
	}
	switch first {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if second == 'e' {
			return 3
		}
	case 'l':
		if second == 'l' {
			return 3
		}
	}
	return 0
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
