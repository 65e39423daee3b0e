package normalize

import (
	"strings"

	"steplm/data/tokenizer/internal/runes"
)

// Strip drops white space at the ends of a text.
type Strip struct {
	Type  string `json:"type"`
	Left  bool   `json:"strip_left"`
	Right bool   `json:"strip_right"`
}

// Part is the normalizer.
func (s *Strip) Part() Normalizer { return s }

// Check finds nothing to refuse.
func (s *Strip) Check() error { return nil }

// Normalize strips text.
func (s *Strip) Normalize(text string) (string, error) {
	if s.Left {
		text = strings.TrimLeftFunc(text, runes.Space.Contains)
	}
	if s.Right {
		text = strings.TrimRightFunc(text, runes.Space.Contains)
	}
	return text, nil
}

// StripAccents drops combining marks; what is composed keeps its own.
type StripAccents struct {
	Type string `json:"type"`
}

// Part is the normalizer.
func (s *StripAccents) Part() Normalizer { return s }

// Check finds nothing to refuse.
func (s *StripAccents) Check() error { return nil }

// Normalize strips text.
func (s *StripAccents) Normalize(text string) (string, error) {
	return without(text, runes.Accent), nil
}

func without(text string, set runes.Set) string {
	return strings.Map(func(r rune) rune {
		if r >= 0x80 && set.Contains(r) {
			return -1
		}
		return r
	}, text)
}
