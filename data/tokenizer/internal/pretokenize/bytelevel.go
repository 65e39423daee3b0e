package pretokenize

import (
	"strings"

	"steplm/data/tokenizer/internal/pattern"
	"steplm/data/tokenizer/internal/runes"
)

// ByteLevel cuts as GPT-2 does, and writes each byte as the rune that stands for it. TrimOffsets concerns character
// offsets only, which this package has none of.
type ByteLevel struct {
	Type           string `json:"type"`
	AddPrefixSpace bool   `json:"add_prefix_space"` // before every piece that does not begin with one
	TrimOffsets    bool   `json:"trim_offsets"`
	UseRegex       *bool  `json:"use_regex,omitempty"` // nil: true

	raw bool // bytes stay what they are
}

// NewByteLevel is a ByteLevel as it is written.
func NewByteLevel(prefixSpace, regex bool) *ByteLevel {
	return &ByteLevel{Type: "ByteLevel", AddPrefixSpace: prefixSpace, TrimOffsets: true, UseRegex: &regex}
}

// Part is the pre-tokenizer.
func (b *ByteLevel) Part() PreTokenizer { return b }

// Check completes what is left out.
func (b *ByteLevel) Check() error {
	*b = *NewByteLevel(b.AddPrefixSpace, b.regex())
	return nil
}

func (b *ByteLevel) regex() bool { return b.UseRegex == nil || *b.UseRegex }

// bare reports whether words come out as they go in.
func (b *ByteLevel) bare() bool { return b.raw && !b.AddPrefixSpace && !b.regex() }

// each calls f with the words of a piece.
func (b *ByteLevel) each(s string, f func(word string) error) error {
	if b.AddPrefixSpace && !strings.HasPrefix(s, " ") {
		s = " " + s
	}
	for i := 0; i < len(s); {
		end := len(s)
		if b.regex() {
			end = pattern.GPT2.Next(s, i)
		}
		word := s[i:end]
		if !b.raw {
			word = runes.MapBytes(word)
		}
		if err := f(word); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// Cut cuts a piece.
func (b *ByteLevel) Cut(to []Piece, p Piece) ([]Piece, error) {
	first := p.First
	err := b.each(p.Text, func(word string) error {
		to = append(to, Piece{word, first})
		first = false
		return nil
	})
	return to, err
}
