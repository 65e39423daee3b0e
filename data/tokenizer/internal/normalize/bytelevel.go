package normalize

import "steplm/data/tokenizer/internal/runes"

// ByteLevel writes each byte of a text as the rune that stands for it in GPT-2's alphabet.
type ByteLevel struct {
	Type string `json:"type"`
}

// Part is the normalizer.
func (b *ByteLevel) Part() Normalizer { return b }

// Check finds nothing to refuse.
func (b *ByteLevel) Check() error { return nil }

// Normalize maps text.
func (b *ByteLevel) Normalize(text string) (string, error) { return runes.MapBytes(text), nil }
