package normalize

import "steplm/data/tokenizer/internal/pattern"

// Replace puts Content in the place of every match of a pattern.
type Replace struct {
	Type    string          `json:"type"`
	Pattern pattern.Pattern `json:"pattern"`
	Content string          `json:"content"`
}

// NewReplace replaces a string, and NewReplaceRegex what a regular expression matches, which must be one that compiles.
func NewReplace(from, to string) *Replace {
	return &Replace{Type: "Replace", Pattern: pattern.Pattern{String: from}, Content: to}
}

// NewReplaceRegex is NewReplace for a regular expression.
func NewReplaceRegex(from, to string) (*Replace, error) {
	r := &Replace{Type: "Replace", Pattern: pattern.Pattern{Regex: from}, Content: to}
	return r, r.Check()
}

// Part is the normalizer.
func (r *Replace) Part() Normalizer { return r }

// Check compiles the pattern.
func (r *Replace) Check() error { return r.Pattern.Compile() }

// Normalize replaces in text.
func (r *Replace) Normalize(text string) (string, error) { return r.Pattern.Replace(text, r.Content) }

// Prepend puts a string before a text that is not empty.
type Prepend struct {
	Content string `json:"prepend"`
	Type    string `json:"type"`
}

// NewPrepend puts a string before a text.
func NewPrepend(content string) *Prepend { return &Prepend{content, "Prepend"} }

// Part is the normalizer.
func (p *Prepend) Part() Normalizer { return p }

// Check finds nothing to refuse.
func (p *Prepend) Check() error { return nil }

// Normalize prepends to text.
func (p *Prepend) Normalize(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	return p.Content + text, nil
}
