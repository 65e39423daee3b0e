package decode

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"steplm/data/tokenizer/internal/pattern"
)

// Strip takes a character from the ends of every token, at most so often.
type Strip struct {
	Content string `json:"content"`
	Start   int    `json:"start"`
	Stop    int    `json:"stop"`
	Type    string `json:"type"`
}

// NewStrip takes content from the beginning.
func NewStrip(content string, start int) *Strip { return &Strip{content, start, 0, "Strip"} }

// Part is the decoder.
func (s *Strip) Part() Decoder { return s }

// Check asks for one character.
func (s *Strip) Check() error {
	if utf8.RuneCountInString(s.Content) != 1 || s.Start < 0 || s.Stop < 0 {
		return fmt.Errorf("content %q, start %d, stop %d: one character and numbers from 0 are needed", s.Content,
			s.Start, s.Stop)
	}
	return nil
}

// Decode strips tokens.
func (s *Strip) Decode(tokens []string) ([]string, error) {
	for i, t := range tokens {
		for n := 0; n < s.Start && strings.HasPrefix(t, s.Content); n++ {
			t = t[len(s.Content):]
		}
		for n := 0; n < s.Stop && strings.HasSuffix(t, s.Content); n++ {
			t = t[:len(t)-len(s.Content)]
		}
		tokens[i] = t
	}
	return tokens, nil
}

// Replace puts Content in the place of every match of a pattern.
type Replace struct {
	Type    string          `json:"type"`
	Pattern pattern.Pattern `json:"pattern"`
	Content string          `json:"content"`
}

// NewReplace replaces a string.
func NewReplace(from, to string) *Replace {
	return &Replace{Type: "Replace", Pattern: pattern.Pattern{String: from}, Content: to}
}

// Part is the decoder.
func (r *Replace) Part() Decoder { return r }

// Check compiles the pattern.
func (r *Replace) Check() error { return r.Pattern.Compile() }

// Decode replaces in tokens.
func (r *Replace) Decode(tokens []string) (_ []string, err error) {
	for i, t := range tokens {
		if tokens[i], err = r.Pattern.Replace(t, r.Content); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// Metaspace turns marks into spaces; those of the first token are dropped, unless nothing puts them there.
type Metaspace struct {
	Type           string `json:"type"`
	Replacement    string `json:"replacement"`
	StrRep         string `json:"str_rep,omitempty"`
	AddPrefixSpace *bool  `json:"add_prefix_space,omitempty"`
	PrependScheme  string `json:"prepend_scheme"`
	Split          *bool  `json:"split,omitempty"`
}

// Part is the decoder.
func (m *Metaspace) Part() Decoder { return m }

// Check settles how the older and the newer fields go together.
func (m *Metaspace) Check() error {
	scheme := m.PrependScheme
	if scheme == "" {
		scheme = "always"
		if m.AddPrefixSpace != nil && !*m.AddPrefixSpace {
			scheme = "never"
		}
	}
	if utf8.RuneCountInString(m.Replacement) != 1 || scheme != "always" && scheme != "first" && scheme != "never" {
		return fmt.Errorf("replacement %q with prepend_scheme %q is not supported, only one character with first, "+
			"always or never is", m.Replacement, m.PrependScheme)
	}
	*m = Metaspace{Type: "Metaspace", Replacement: m.Replacement, PrependScheme: scheme, Split: new(m.Split == nil ||
		*m.Split)}
	return nil
}

// Decode decodes tokens.
func (m *Metaspace) Decode(tokens []string) ([]string, error) {
	for i, t := range tokens {
		space := " "
		if i == 0 && m.PrependScheme != "never" {
			space = ""
		}
		tokens[i] = strings.ReplaceAll(t, m.Replacement, space)
	}
	return tokens, nil
}
