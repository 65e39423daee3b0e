package pattern

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"steplm/data/tokenizer/internal/runes"
)

// node is a part of an expression that writes itself in regexp2's syntax, with sets as symbols.
type node interface{ write(w *writer) }

type (
	oneOf    runes.Set // one rune of a set
	sequence []node
	choice   []node // the first that matches
	group    struct {
		open string // as "(?=", "(?>" or "(?:"
		of   node
	}
	repeat struct {
		of         node
		how        string // as "{1,3}"
		lazy       bool
		possessive bool
	}
	literal string // regexp2's own, such as \A
)

// flags are the options that hold in a part of the expression.
type flags struct{ fold, dotAll bool }

type parser struct {
	text string
	at   int
}

var newline = runes.Of('\n')

// parse reads a whole expression.
func parse(text string) (node, error) {
	p := &parser{text: text}
	n, err := p.alternatives(flags{})
	if err == nil && p.at < len(text) {
		err = p.refuse("an unmatched )")
	}
	return n, err
}

func (p *parser) refuse(what string) error {
	return fmt.Errorf("the regular expression %q holds %s (byte %d), which is not supported", p.text, what, p.at)
}

func (p *parser) rest() string { return p.text[p.at:] }

func (p *parser) take(s string) bool {
	if strings.HasPrefix(p.rest(), s) {
		p.at += len(s)
		return true
	}
	return false
}

// alternatives reads up to the end or the group's ")".
func (p *parser) alternatives(f flags) (node, error) {
	var all choice
	for {
		n, err := p.sequence(f)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
		if !p.take("|") {
			break
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

func (p *parser) sequence(f flags) (node, error) {
	var all sequence
	var before rune // a folded letter just before, for what several runes fold to together
	for p.at < len(p.text) && p.text[p.at] != '|' && p.text[p.at] != ')' {
		start := p.at
		n, err := p.atom(f)
		if err != nil {
			return nil, err
		}
		if f.fold {
			letter, size := utf8.DecodeRuneInString(p.text[start:p.at])
			if size < p.at-start {
				letter = 0
			}
			if foldTogether(before, letter) {
				return nil, p.refuse(fmt.Sprintf("%q without regard to case, which one rune folds to",
					string(before)+string(letter)))
			}
			before = letter
		}
		if n, err = p.quantified(n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// foldTogether reports whether some rune, such as a ligature, is two letters without regard to case.
func foldTogether(a, b rune) bool {
	switch strings.ToLower(string(a) + string(b)) {
	case "ss", "st", "ff", "fi", "fl":
		return true
	}
	return false
}

func (p *parser) quantified(n node) (node, error) {
	how, interval := "", false
	switch {
	case p.take("?"):
		how = "?"
	case p.take("*"):
		how = "*"
	case p.take("+"):
		how = "+"
	default:
		var err error
		if how, err = p.interval(); err != nil || how == "" {
			return n, err
		}
		interval = true
	}
	r := repeat{of: n, how: how}
	switch {
	case interval && !strings.Contains(how, ",") && p.take("?"): // Ruby: {n}? is an optional {n}
		return repeat{of: group{"(?:", r}, how: "?"}, nil
	case p.take("?"):
		r.lazy = true
	case interval && p.take("+"): // Ruby: {n,m}+ is {n,m} again and again
		r = repeat{of: group{"(?:", r}, how: "+"}
	case p.take("+"):
		r.possessive = true
	}
	if p.at < len(p.text) && strings.ContainsRune("?*+", rune(p.text[p.at])) {
		return nil, p.refuse("a quantifier of a quantifier")
	}
	if next, err := p.interval(); err != nil || next != "" {
		return nil, p.refuse("a quantifier of a quantifier")
	}
	return r, nil
}

// interval reads {n}, {n,}, {,m} or {n,m}, or nothing.
func (p *parser) interval() (string, error) {
	if !strings.HasPrefix(p.rest(), "{") {
		return "", nil
	}
	inside, _, ok := strings.Cut(p.rest()[1:], "}")
	low, high, comma := strings.Cut(inside, ",")
	if !ok || low == "" && high == "" {
		return "", p.refuse("{ without numbers and }")
	}
	if low == "" {
		low = "0"
	}
	for _, n := range []string{low, high} {
		if v, err := strconv.Atoi(n); n != "" && (err != nil || v > 1000) {
			return "", p.refuse(fmt.Sprintf("the count %q", n))
		}
	}
	p.at += len(inside) + 2
	if comma {
		return "{" + low + "," + high + "}", nil
	}
	return "{" + low + "}", nil
}

func (p *parser) atom(f flags) (node, error) {
	switch {
	case p.take("("):
		return p.group(f)
	case strings.HasPrefix(p.rest(), "["):
		set, err := p.bracket()
		if err != nil {
			return nil, err
		}
		return p.folded(set, f)
	case p.take("."):
		if f.dotAll {
			return oneOf(runes.Set{}.Not()), nil
		}
		return oneOf(newline.Not()), nil
	case p.take("^"):
		return lineStart, nil
	case p.take("$"):
		return lineEnd, nil
	}
	for _, c := range "*+?{" {
		if strings.HasPrefix(p.rest(), string(c)) {
			return nil, p.refuse(fmt.Sprintf("%q with nothing before it", c))
		}
	}
	if anchor, ok := anchors[p.rest()[:min(2, len(p.rest()))]]; ok {
		p.at += 2
		return anchor, nil
	}
	set, err := p.oneRune()
	if err != nil {
		return nil, err
	}
	return p.folded(set, f)
}

// The anchors, as Oniguruma has them: no line starts at the text's end, after a newline.
var (
	lineStart = choice{literal(`\A`), sequence{group{"(?<=", oneOf(newline)}, group{"(?!", literal(`\z`)}}}
	lineEnd   = choice{group{"(?=", oneOf(newline)}, literal(`\z`)}
	wordRune  = oneOf(runes.WordOfRegex)
	anchors   = map[string]node{
		`\A`: literal(`\A`), `\z`: literal(`\z`),
		`\Z`: group{"(?=", sequence{repeat{of: oneOf(newline), how: "?"}, literal(`\z`)}},
		`\b`: choice{sequence{group{"(?<=", wordRune}, group{"(?!", wordRune}},
			sequence{group{"(?<!", wordRune}, group{"(?=", wordRune}}},
		`\B`: choice{sequence{group{"(?<=", wordRune}, group{"(?=", wordRune}},
			sequence{group{"(?<!", wordRune}, group{"(?!", wordRune}}},
	}
)

// group reads what stands after "(", and its ")".
func (p *parser) group(f flags) (node, error) {
	open := "(?:"
	for _, kind := range []string{"?:", "?=", "?!", "?>", "?<=", "?<!"} {
		if p.take(kind) {
			open = "(" + kind
			return p.closed(open, f)
		}
	}
	if !p.take("?") {
		return p.closed(open, f) // it captures, which nothing asks for
	}
	on := true
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch c {
		case '-':
			on = false
		case 'i':
			f.fold = on
		case 'm':
			f.dotAll = on
		case ':':
			return p.closed(open, f)
		case ')': // for the rest of the group around it, alternatives included
			n, err := p.alternatives(f)
			return group{open, n}, err
		default:
			p.at--
			return nil, p.refuse(fmt.Sprintf("the group (?%c", c))
		}
	}
	return nil, p.refuse("a group without end")
}

func (p *parser) closed(open string, f flags) (node, error) {
	n, err := p.alternatives(f)
	if err != nil {
		return nil, err
	}
	if !p.take(")") {
		return nil, p.refuse("a group without )")
	}
	return group{open, n}, nil
}
