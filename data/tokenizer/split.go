package tokenizer

import "strings"

// A pattern is one of the regular expressions by which byte-level tokenizers cut text into words. Go's regexp has
// neither lookahead nor these Unicode tables, so each known expression has a hand-written scanner.
type pattern struct {
	name  string
	regex string                        // as files write it in a Split pre-tokenizer
	next  func(text string, at int) int // the end of the word that starts at text[at:]; at < len(text)
}

var patterns = []*pattern{gpt2Pattern, llama3Pattern, qwen2Pattern}

// gpt2Pattern is also what a ByteLevel pre-tokenizer with use_regex applies.
var gpt2Pattern = &pattern{
	name:  "GPT-2",
	regex: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
	next:  nextGPT2,
}

var llama3Pattern = &pattern{
	name:  "Llama 3",
	regex: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
	next:  func(s string, i int) int { return nextLlama3(s, i, 3) },
}

var qwen2Pattern = &pattern{
	name:  "Qwen 2",
	regex: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
	next:  func(s string, i int) int { return nextLlama3(s, i, 1) },
}

// wholePattern leaves the text in one piece: ByteLevel with use_regex false and nothing before it.
var wholePattern = &pattern{
	name: "none",
	next: func(s string, _ int) int { return len(s) },
}

func nextGPT2(s string, i int) int {
	if n := contraction(s[i:], false); n > 0 {
		return i + n
	}
	start := i
	if s[i] == ' ' {
		start++
	}
	if c, n := classAt(s, start); n > 0 && c != space {
		return skip(s, start+n, c)
	}
	return nextSpaces(s, i)
}

func nextLlama3(s string, i, digits int) int {
	if n := contraction(s[i:], true); n > 0 {
		return i + n
	}
	c, n := classAt(s, i)
	switch {
	case c == letter:
		return skip(s, i+n, letter)
	case c == number:
		end := i + n
		for range digits - 1 {
			c, n := classAt(s, end)
			if n == 0 || c != number {
				break
			}
			end += n
		}
		return end
	}
	if s[i] != '\r' && s[i] != '\n' {
		if c, m := classAt(s, i+n); m > 0 && c == letter {
			return skip(s, i+n+m, letter)
		}
	}
	start := i
	if s[i] == ' ' {
		start++
	}
	if c, n := classAt(s, start); n > 0 && c == other {
		end := skip(s, start+n, other)
		for end < len(s) && (s[end] == '\r' || s[end] == '\n') {
			end++
		}
		return end
	}
	if newline := strings.LastIndexAny(s[i:skip(s, i, space)], "\r\n"); newline >= 0 {
		return i + newline + 1
	}
	return nextSpaces(s, i)
}

// nextSpaces is \s+(?!\S)|\s+ : all white space, but its last rune is left to the word after it, if it is not the only
// one.
func nextSpaces(s string, i int) int {
	last, end := i, i
	for {
		c, n := classAt(s, end)
		if n == 0 {
			return end
		}
		if c != space {
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
