package pattern

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"steplm/data/tokenizer/internal/runes"
)

func property(name string) runes.Set {
	s, ok := runes.Property(name)
	if !ok {
		panic("pattern: no property " + name)
	}
	return s
}

var hex = runes.Normal([]runes.Range{{Low: '0', High: '9'}, {Low: 'a', High: 'f'}, {Low: 'A', High: 'F'}})

// shorthand is the set of an escape such as \s.
func shorthand(c byte) (runes.Set, bool) {
	var s runes.Set
	switch c | 0x20 {
	case 's':
		s = runes.Space
	case 'd':
		s = property("Nd")
	case 'w':
		s = runes.WordOfRegex
	case 'h':
		s = hex
	default:
		return nil, false
	}
	if c < 'a' {
		s = s.Not()
	}
	return s, true
}

// controls are the escapes of single runes.
var controls = map[byte]rune{'n': '\n', 'r': '\r', 't': '\t', 'f': '\f', 'v': '\v', 'a': '\a', 'e': 0x1B}

// oneRune reads a rune that stands for itself, or an escape.
func (p *parser) oneRune() (runes.Set, error) {
	r, size := utf8.DecodeRuneInString(p.rest())
	if size == 0 {
		return nil, p.refuse("an end where something must follow")
	}
	if r != '\\' {
		p.at += size
		return runes.Of(r), nil
	}
	if p.at+1 == len(p.text) {
		return nil, p.refuse(`a \ at its end`)
	}
	c := p.text[p.at+1]
	if s, ok := shorthand(c); ok {
		p.at += 2
		return s, nil
	}
	if r, ok := controls[c]; ok {
		p.at += 2
		return runes.Of(r), nil
	}
	switch {
	case c == 'p' || c == 'P':
		return p.property(c == 'P')
	case c == 'x' || c == 'u':
		return p.codePoint()
	case '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		return nil, p.refuse(fmt.Sprintf(`\%c`, c))
	}
	p.at++
	r, size = utf8.DecodeRuneInString(p.rest())
	p.at += size
	return runes.Of(r), nil
}

// property reads \p{L}, \p{^L} or \P{L}.
func (p *parser) property(not bool) (runes.Set, error) {
	name, _, ok := strings.Cut(p.rest()[2:], "}")
	if !ok || !strings.HasPrefix(name, "{") {
		return nil, p.refuse(`\p without {name}`)
	}
	plain, caret := strings.CutPrefix(name[1:], "^")
	s, ok := runes.Property(plain)
	if !ok {
		return nil, p.refuse(`\p` + name + "}")
	}
	p.at += len(`\p}`) + len(name)
	if caret != not {
		s = s.Not()
	}
	return s, nil
}

// codePoint reads \x41, \x{1F600} or \u0041.
func (p *parser) codePoint() (runes.Set, error) {
	digits, length := "", 0
	switch rest := p.rest()[2:]; {
	case p.text[p.at+1] == 'u' && len(rest) >= 4:
		digits, length = rest[:4], 6
	case strings.HasPrefix(rest, "{"):
		inside, _, ok := strings.Cut(rest[1:], "}")
		if ok {
			digits, length = inside, len(inside)+4
		}
	case len(rest) >= 2:
		digits, length = rest[:2], 4
	}
	v, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || v > unicode.MaxRune || length == 4 && v > 0x7F { // \x80 is a byte there, not a rune
		return nil, p.refuse(fmt.Sprintf(`\%c without a code point`, p.text[p.at+1]))
	}
	p.at += length
	return runes.Of(rune(v)), nil
}

// bracket reads a set in brackets, with ranges, sets within it and intersections.
func (p *parser) bracket() (runes.Set, error) {
	p.take("[")
	not := p.take("^")
	all := runes.Set{}.Not()
	var now runes.Set
	for first := true; ; first = false {
		switch {
		case p.at >= len(p.text):
			return nil, p.refuse("a [ without ]")
		case !first && p.take("]"):
			if all = all.And(now); not {
				all = all.Not()
			}
			return all, nil
		case strings.HasPrefix(p.rest(), "]"):
			return nil, p.refuse("an empty []")
		case p.take("&&"):
			all, now = all.And(now), nil
		case strings.HasPrefix(p.rest(), "[:"):
			return nil, p.refuse("a POSIX bracket [:")
		case strings.HasPrefix(p.rest(), "["):
			inner, err := p.bracket()
			if err != nil {
				return nil, err
			}
			now = now.Or(inner)
		default:
			s, err := p.member()
			if err != nil {
				return nil, err
			}
			now = now.Or(s)
		}
	}
}

// member reads a rune, an escape or a range in brackets.
func (p *parser) member() (runes.Set, error) {
	from, err := p.oneRune()
	if err != nil {
		return nil, err
	}
	if rest := p.rest(); len(rest) < 2 || rest[0] != '-' || rest[1] == ']' {
		return from, nil
	}
	start := p.at
	p.at++
	if strings.HasPrefix(p.rest(), "[") || strings.HasPrefix(p.rest(), "&&") {
		p.at = start
		return nil, p.refuse("a - before a set")
	}
	to, err := p.oneRune()
	if err != nil {
		return nil, err
	}
	single := func(s runes.Set) bool { return len(s) == 1 && s[0].Low == s[0].High }
	if !single(from) || !single(to) || from[0].Low > to[0].Low {
		p.at = start
		return nil, p.refuse("a - that makes no range")
	}
	return runes.Set{{Low: from[0].Low, High: to[0].Low}}, nil
}

// folded is a set without regard to case, if f says so: all runes that fold to what a rune of the set folds to.
func (p *parser) folded(s runes.Set, f flags) (node, error) {
	if !f.fold {
		return oneOf(s), nil
	}
	var more []runes.Range
	for _, r := range s {
		for c := r.Low; c <= r.High; c++ {
			for other := unicode.SimpleFold(c); other != c; other = unicode.SimpleFold(other) {
				if !s.Contains(other) {
					more = append(more, runes.Range{Low: other, High: other})
				}
			}
		}
	}
	for _, r := range more { // Go's folding follows another version of Unicode, but is the same for these
		if r.Low >= 0x80 && r.Low != 0x17F && r.Low != 0x212A {
			return nil, p.refuse("runes beyond ASCII without regard to case")
		}
	}
	return oneOf(s.Or(runes.Normal(more))), nil
}
