package normalize

import (
	"encoding/json"
	"slices"

	"steplm/data/tokenizer/internal/part"
	"steplm/data/tokenizer/internal/pattern"
)

// Normalizer is one part. Its JSON is that of the part.
type Normalizer interface {
	Normalize(text string) (string, error)
}

var kinds part.Kinds[Normalizer]

func init() {
	kinds = part.Kinds[Normalizer]{
		"Sequence":       part.Sequence("normalizers", func() part.Kinds[Normalizer] { return kinds }),
		"NFC":            part.One[Normalizer, Form],
		"NFD":            part.One[Normalizer, Form],
		"NFKC":           part.One[Normalizer, Form],
		"NFKD":           part.One[Normalizer, Form],
		"Lowercase":      part.One[Normalizer, Lowercase],
		"Strip":          part.One[Normalizer, Strip],
		"StripAccents":   part.One[Normalizer, StripAccents],
		"Replace":        part.One[Normalizer, Replace],
		"Prepend":        part.One[Normalizer, Prepend],
		"BertNormalizer": part.One[Normalizer, Bert],
		"ByteLevel":      part.One[Normalizer, ByteLevel],
	}
}

// Chain is normalizers in the order in which they apply.
type Chain []Normalizer

// Read reads the normalizer of a tokenizer.json, without those parts that change nothing.
func Read(raw json.RawMessage) (Chain, error) {
	parts, err := kinds.Read(raw)
	if err != nil {
		return nil, err
	}
	var c Chain
	for _, p := range parts {
		if f, ok := p.(*Form); ok && len(c) > 0 && f.Type == "NFC" {
			if before, ok := c[len(c)-1].(*Form); ok && (before.Type == "NFC" || before.Type == "NFKC") {
				continue // what is in form KC is in form C
			}
		}
		c = append(c, p)
	}
	return c, nil
}

// Normalize applies all.
func (c Chain) Normalize(text string) (_ string, err error) {
	for _, n := range c {
		if text, err = n.Normalize(text); err != nil {
			return "", err
		}
	}
	return text, nil
}

// MarshalJSON writes null, the one part, or a Sequence.
func (c Chain) MarshalJSON() ([]byte, error) {
	return part.SequenceJSON("normalizers", c)
}

// ReplacesAll reports whether every from has become to, so that no from is left.
func (c Chain) ReplacesAll(from, to string) bool {
	return len(c) > 0 && slices.ContainsFunc(c[len(c)-1:], func(n Normalizer) bool {
		r, ok := n.(*Replace)
		return ok && r.Pattern.Same(pattern.Pattern{String: from}) && r.Content == to
	})
}

// DropsBeginning reports whether the first rune of a text may be lost, or become part of another, so that what comes
// out need not begin where the text does.
func (c Chain) DropsBeginning() bool {
	return slices.ContainsFunc(c, func(n Normalizer) bool {
		switch n := n.(type) {
		case *Strip:
			return n.Left
		case *StripAccents:
			return true
		case *Bert:
			return n.CleanText || n.accents()
		case *Replace:
			return n.Content == "" || n.Pattern.Regex != ""
		}
		return false
	})
}
