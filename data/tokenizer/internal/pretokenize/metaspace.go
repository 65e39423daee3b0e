package pretokenize

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// char is a string of one rune.
type char rune

// UnmarshalJSON reads a string of one rune.
func (c *char) UnmarshalJSON(content []byte) error {
	var s string
	if err := json.Unmarshal(content, &s); err != nil {
		return err
	}
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 || n != len(s) {
		return fmt.Errorf("%q is not one character", s)
	}
	*c = char(r)
	return nil
}

// MarshalJSON writes it.
func (c char) MarshalJSON() ([]byte, error) { return json.Marshal(string(rune(c))) }

// Metaspace writes spaces as a mark, puts one before the text, and cuts before marks.
type Metaspace struct {
	Type           string `json:"type"`
	Replacement    char   `json:"replacement"`
	StrRep         string `json:"str_rep,omitempty"`          // the same, before tokenizers 0.15
	AddPrefixSpace *bool  `json:"add_prefix_space,omitempty"` // before tokenizers 0.15: always or never
	PrependScheme  string `json:"prepend_scheme"`             // a mark before what has none: first, always or never
	Split          *bool  `json:"split,omitempty"`            // nil: true
}

// Part is the pre-tokenizer.
func (m *Metaspace) Part() PreTokenizer { return m }

// Check settles how the older and the newer fields go together.
func (m *Metaspace) Check() error {
	scheme := m.PrependScheme
	switch {
	case scheme == "first", scheme == "always", scheme == "never":
		if m.AddPrefixSpace != nil && !*m.AddPrefixSpace && scheme != "never" {
			return fmt.Errorf("prepend_scheme %s without add_prefix_space contradicts itself", scheme)
		}
	case scheme == "" && m.AddPrefixSpace != nil && !*m.AddPrefixSpace:
		scheme = "never"
	case scheme == "":
		scheme = "always"
	default:
		return fmt.Errorf("prepend_scheme %q is not supported, only first, always and never are", scheme)
	}
	if m.StrRep != "" && m.StrRep != string(rune(m.Replacement)) {
		return fmt.Errorf("replacement %q with str_rep %q contradicts itself", rune(m.Replacement), m.StrRep)
	}
	split := m.Split == nil || *m.Split
	*m = Metaspace{Type: "Metaspace", Replacement: m.Replacement, PrependScheme: scheme, Split: &split}
	return nil
}

// Cut cuts a piece.
func (m *Metaspace) Cut(to []Piece, p Piece) ([]Piece, error) {
	mark := string(rune(m.Replacement))
	text := strings.ReplaceAll(p.Text, " ", mark)
	if (m.PrependScheme == "always" || m.PrependScheme == "first" && p.First) && !strings.HasPrefix(text, mark) {
		text = mark + text
	}
	if !*m.Split {
		return append(to, Piece{text, p.First}), nil
	}
	for i := 0; i < len(text); {
		end := NextMark(text, i+1, mark)
		to = append(to, Piece{text[i:end], p.First && i == 0})
		i = end
	}
	return to, nil
}

// NextMark is where the next mark begins from text[at:] on, or the end of the text.
func NextMark(text string, at int, mark string) int {
	if n := strings.Index(text[at:], mark); n >= 0 {
		return at + n
	}
	return len(text)
}
