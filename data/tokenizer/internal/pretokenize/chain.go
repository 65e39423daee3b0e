package pretokenize

import (
	"encoding/json"
	"fmt"

	"steplm/data/tokenizer/internal/part"
	"steplm/data/tokenizer/internal/pattern"
)

// Piece is a part of a text.
type Piece struct {
	Text  string
	First bool // the text's beginning
}

// PreTokenizer cuts a piece and appends what it is cut into. Its JSON is that of the part.
type PreTokenizer interface {
	Cut(to []Piece, p Piece) ([]Piece, error)
}

// Scanner is a pre-tokenizer that leaves nothing out and changes nothing: the word that starts at text[at:] ends where
// Next says, for at < len(text).
type Scanner interface {
	Next(text string, at int) int
}

var kinds part.Kinds[PreTokenizer]

func init() {
	kinds = part.Kinds[PreTokenizer]{
		"Sequence":           part.Sequence("pretokenizers", func() part.Kinds[PreTokenizer] { return kinds }),
		"Split":              part.One[PreTokenizer, Split],
		"Digits":             part.One[PreTokenizer, Digits],
		"Punctuation":        part.One[PreTokenizer, Punctuation],
		"ByteLevel":          part.One[PreTokenizer, ByteLevel],
		"Metaspace":          part.One[PreTokenizer, Metaspace],
		"Whitespace":         part.One[PreTokenizer, Whitespace],
		"WhitespaceSplit":    part.One[PreTokenizer, WhitespaceSplit],
		"CharDelimiterSplit": part.One[PreTokenizer, CharDelimiterSplit],
		"BertPreTokenizer":   part.One[PreTokenizer, Bert],
		"UnicodeScripts":     part.One[PreTokenizer, UnicodeScripts],
	}
}

// Chain is pre-tokenizers in the order in which they apply.
type Chain struct {
	parts    []PreTokenizer
	scanners []Scanner  // if all only cut, but perhaps for the last
	last     *ByteLevel // after the scanners, or nil
	plain    bool       // scanners and last are all there is
}

// Read reads the pre-tokenizer of a tokenizer.json.
func Read(raw json.RawMessage) (*Chain, error) {
	parts, err := kinds.Read(raw)
	if err != nil {
		return nil, err
	}
	return New(parts...)
}

// New is a chain of parts.
func New(parts ...PreTokenizer) (*Chain, error) {
	c := &Chain{parts: simplified(parts)}
	mapped := false
	for _, p := range c.parts {
		switch p.(type) {
		case *ByteLevel:
			if mapped {
				return nil, fmt.Errorf("ByteLevel: two of them are not supported")
			}
			mapped = true
		case *Metaspace:
			if mapped {
				return nil, fmt.Errorf("Metaspace: it is not supported after ByteLevel")
			}
		}
	}
	c.plain = true
	for i, p := range c.parts {
		if last, ok := p.(*ByteLevel); ok && i == len(c.parts)-1 {
			c.last = last
		} else if s, ok := p.(Scanner); ok && cutsOnly(p) {
			c.scanners = append(c.scanners, s)
		} else {
			c.plain = false
		}
	}
	return c, nil
}

// cutsOnly asks a part whose settings decide about it.
func cutsOnly(p PreTokenizer) bool {
	s, ok := p.(interface{ cutsOnly() bool })
	return !ok || s.cutsOnly()
}

// simplified writes GPT-2's expression, where it stands before a ByteLevel that has none, as that ByteLevel's own.
func simplified(parts []PreTokenizer) []PreTokenizer {
	if len(parts) != 2 {
		return parts
	}
	cut, first := parts[0].(*Split)
	bytes, second := parts[1].(*ByteLevel)
	if first && second && cut.scanner == pattern.GPT2 && cut.cutsOnly() && !bytes.regex() && !bytes.AddPrefixSpace {
		return []PreTokenizer{NewByteLevel(false, true)}
	}
	return parts
}

// With is the chain with one more scanner at its end, whose JSON stays the same.
func (c *Chain) With(s Scanner) *Chain {
	more := *c
	if c.plain && c.last == nil {
		more.scanners = append(more.scanners[:len(more.scanners):len(more.scanners)], s)
	}
	more.parts = append(more.parts[:len(more.parts):len(more.parts)], hidden{s})
	return &more
}

// hidden is a scanner that no file names.
type hidden struct{ Scanner }

func (h hidden) Cut(to []Piece, p Piece) ([]Piece, error) { return scan(h, to, p), nil }

// BytesLast reports whether ByteLevel is the last part, so that words may as well stay what they are in bytes.
func (c *Chain) BytesLast() bool {
	if len(c.parts) == 0 {
		return false
	}
	_, ok := c.parts[len(c.parts)-1].(*ByteLevel)
	return ok
}

// Raw is the chain whose words are the bytes themselves, not the runes that stand for them. BytesLast must be true.
func (c *Chain) Raw() *Chain {
	raw := *c
	bytes := *c.parts[len(c.parts)-1].(*ByteLevel)
	bytes.raw = true
	raw.parts = append(raw.parts[:len(raw.parts)-1:len(raw.parts)-1], &bytes)
	if raw.plain {
		raw.last = &bytes
	}
	return &raw
}

// PrefixSpace reports whether a ByteLevel puts a space before what has none.
func (c *Chain) PrefixSpace() bool {
	for _, p := range c.parts {
		if b, ok := p.(*ByteLevel); ok && b.AddPrefixSpace {
			return true
		}
	}
	return false
}

// HasByteLevel reports whether bytes are written as runes.
func (c *Chain) HasByteLevel() bool {
	for _, p := range c.parts {
		if _, ok := p.(*ByteLevel); ok {
			return true
		}
	}
	return false
}

// AsksForFirst reports whether a part asks where the text begins, and whether it is the first part.
func (c *Chain) AsksForFirst() (asks, first bool) {
	for i, p := range c.parts {
		if m, ok := p.(*Metaspace); ok && m.PrependScheme == "first" {
			return true, i == 0
		}
	}
	return false, false
}

// Each calls f with the words of a piece that is not empty, in order, until f returns an error.
func (c *Chain) Each(p Piece, f func(word string) error) error {
	if c.plain {
		return c.eachScanned(c.scanners, p.Text, f)
	}
	pieces, next := []Piece{p}, []Piece(nil)
	for _, part := range c.parts {
		next = next[:0]
		for _, piece := range pieces {
			var err error
			if next, err = part.Cut(next, piece); err != nil {
				return err
			}
		}
		kept := next[:0]
		for _, piece := range next {
			if piece.Text != "" {
				kept = append(kept, piece)
			}
		}
		pieces, next = kept, pieces
	}
	for _, piece := range pieces {
		if err := f(piece.Text); err != nil {
			return err
		}
	}
	return nil
}

// eachScanned cuts by the first scanner, and each part by those after it.
func (c *Chain) eachScanned(scanners []Scanner, s string, f func(word string) error) error {
	if len(scanners) == 0 {
		if c.last != nil {
			return c.last.each(s, f)
		}
		return f(s)
	}
	inner := len(scanners) > 1 || c.last != nil && !c.last.bare()
	for i := 0; i < len(s); {
		end := scanners[0].Next(s, i)
		var err error
		if inner {
			err = c.eachScanned(scanners[1:], s[i:end], f)
		} else {
			err = f(s[i:end])
		}
		if err != nil {
			return err
		}
		i = end
	}
	return nil
}

// scan is what Cut of a scanner does.
func scan(s Scanner, to []Piece, p Piece) []Piece {
	for i := 0; i < len(p.Text); {
		end := s.Next(p.Text, i)
		to = append(to, Piece{p.Text[i:end], p.First && i == 0})
		i = end
	}
	return to
}

// MarshalJSON writes null, the one part, or a Sequence.
func (c *Chain) MarshalJSON() ([]byte, error) {
	var parts []PreTokenizer
	for _, p := range c.parts {
		if _, ok := p.(hidden); !ok {
			parts = append(parts, p)
		}
	}
	return part.SequenceJSON("pretokenizers", parts)
}

// WithoutSplitAt is the chain without the Splits at a string, for a text that cannot hold it.
func (c *Chain) WithoutSplitAt(text string) (*Chain, error) {
	var parts []PreTokenizer
	for _, p := range c.parts {
		if s, ok := p.(*Split); ok && len(parts) == 0 && !s.Invert && s.Pattern.String == text {
			continue
		}
		parts = append(parts, p)
	}
	return New(parts...)
}
