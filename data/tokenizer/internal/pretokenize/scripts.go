package pretokenize

import "steplm/data/tokenizer/internal/runes"

// UnicodeScripts cuts where the script changes. Spaces and what has no script stay with what is before them; at the
// beginning of a text they are lost, as in the reference.
type UnicodeScripts struct {
	Type string `json:"type"`
}

// Part is the pre-tokenizer.
func (u *UnicodeScripts) Part() PreTokenizer { return u }

// Check finds nothing to refuse.
func (u *UnicodeScripts) Check() error { return nil }

// Cut cuts a piece.
func (u *UnicodeScripts) Cut(to []Piece, p Piece) ([]Piece, error) {
	start, last := -1, uint8(0)
	for i, r := range p.Text {
		script := runes.Script(r)
		if script == 0 || script == last {
			continue
		}
		if start >= 0 {
			to = append(to, Piece{p.Text[start:i], p.First && start == 0})
		}
		start, last = i, script
	}
	if start >= 0 {
		to = append(to, Piece{p.Text[start:], p.First && start == 0})
	}
	return to, nil
}
