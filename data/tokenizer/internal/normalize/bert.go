package normalize

import (
	"strings"

	"steplm/data/tokenizer/internal/runes"
)

// Bert is BERT's: it cleans text, sets Chinese characters apart, and drops accents and case.
type Bert struct {
	Type               string `json:"type"`
	CleanText          bool   `json:"clean_text"`
	HandleChineseChars bool   `json:"handle_chinese_chars"`
	StripAccents       *bool  `json:"strip_accents"` // nil: as Lowercase
	Lowercase          bool   `json:"lowercase"`
}

// Part is the normalizer.
func (b *Bert) Part() Normalizer { return b }

// Check finds nothing to refuse.
func (b *Bert) Check() error { return nil }

func (b *Bert) accents() bool {
	if b.StripAccents == nil {
		return b.Lowercase
	}
	return *b.StripAccents
}

// Normalize applies what is set, in this order.
func (b *Bert) Normalize(text string) (string, error) {
	if b.CleanText {
		text = strings.Map(func(r rune) rune {
			switch {
			case runes.BertControl.Contains(r):
				return -1
			case runes.BertSpace.Contains(r):
				return ' '
			}
			return r
		}, text)
	}
	if b.HandleChineseChars {
		var out strings.Builder
		for _, r := range text {
			if r >= 0x80 && runes.BertChinese.Contains(r) {
				out.WriteString(" " + string(r) + " ")
			} else {
				out.WriteRune(r)
			}
		}
		text = out.String()
	}
	if b.accents() {
		text = without(nfd(text), runes.BertAccent)
	}
	if b.Lowercase {
		text = runes.Lower(text)
	}
	return text, nil
}
