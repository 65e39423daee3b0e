package normalize

import "steplm/data/tokenizer/internal/runes"

// Lowercase puts each rune into lower case, whatever stands around it.
type Lowercase struct {
	Type string `json:"type"`
}

// Part is the normalizer.
func (l *Lowercase) Part() Normalizer { return l }

// Check finds nothing to refuse.
func (l *Lowercase) Check() error { return nil }

// Normalize lowers text.
func (l *Lowercase) Normalize(text string) (string, error) { return runes.Lower(text), nil }
