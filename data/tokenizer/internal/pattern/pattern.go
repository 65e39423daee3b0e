package pattern

import (
	"fmt"
	"strings"
)

// Span is a part of a text, and whether a pattern matches it.
type Span struct {
	Start, End int
	Match      bool
}

// Pattern is a string or a regular expression, as a tokenizer.json has it. Compile comes before Spans.
type Pattern struct {
	String string `json:"String,omitempty"`
	Regex  string `json:"Regex,omitempty"`

	compiled *expression
}

// Compile refuses what is not understood.
func (p *Pattern) Compile() (err error) {
	switch {
	case p.String == "" && p.Regex == "":
		return fmt.Errorf("an empty pattern is not supported")
	case p.String != "" && p.Regex != "":
		return fmt.Errorf("a pattern that is both the string %q and the regular expression %q is not supported",
			p.String, p.Regex)
	case p.Regex != "":
		p.compiled, err = compile(p.Regex)
	}
	return err
}

// Same reports whether two patterns are written alike.
func (p *Pattern) Same(other Pattern) bool { return p.String == other.String && p.Regex == other.Regex }

// Spans appends the matches in text and what lies between them, in order: they cover the text. A match may be empty.
func (p *Pattern) Spans(to []Span, text string) ([]Span, error) {
	last := 0
	add := func(start, end int) {
		if last < start {
			to = append(to, Span{last, start, false})
		}
		to = append(to, Span{start, end, true})
		last = end
	}
	if p.compiled == nil {
		for {
			at := strings.Index(text[last:], p.String)
			if at < 0 {
				break
			}
			add(last+at, last+at+len(p.String))
		}
	} else {
		found, err := p.compiled.find(text)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			add(f.Start, f.End)
		}
	}
	if last < len(text) {
		to = append(to, Span{last, len(text), false})
	}
	return to, nil
}

// Replace puts content in the place of every match.
func (p *Pattern) Replace(text, content string) (string, error) {
	if p.compiled == nil {
		return strings.ReplaceAll(text, p.String, content), nil
	}
	found, err := p.compiled.find(text)
	if err != nil || len(found) == 0 {
		return text, err
	}
	var b strings.Builder
	last := 0
	for _, f := range found {
		b.WriteString(text[last:f.Start])
		b.WriteString(content)
		last = f.End
	}
	b.WriteString(text[last:])
	return b.String(), nil
}
