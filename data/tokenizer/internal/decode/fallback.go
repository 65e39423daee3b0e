package decode

import (
	"strings"
	"unicode/utf8"

	"steplm/data/tokenizer/internal/subword"
)

// ByteFallback makes one token of a run of bytes, if they are text as a whole, or else U+FFFD for each.
type ByteFallback struct {
	Type string `json:"type"`
}

// Part is the decoder.
func (b *ByteFallback) Part() Decoder { return b }

// Check finds nothing to refuse.
func (b *ByteFallback) Check() error { return nil }

// Decode decodes tokens.
func (b *ByteFallback) Decode(tokens []string) ([]string, error) {
	out := make([]string, 0, len(tokens))
	var run []byte
	flush := func() {
		if utf8.Valid(run) {
			if len(run) > 0 {
				out = append(out, string(run))
			}
		} else {
			for range run {
				out = append(out, "\ufffd")
			}
		}
		run = run[:0]
	}
	for _, t := range tokens {
		if c, ok := subword.FallbackByte(t); ok {
			run = append(run, c)
			continue
		}
		flush()
		out = append(out, t)
	}
	flush()
	return out, nil
}

// Fuse makes one token of all.
type Fuse struct {
	Type string `json:"type"`
}

// Part is the decoder.
func (f *Fuse) Part() Decoder { return f }

// Check finds nothing to refuse.
func (f *Fuse) Check() error { return nil }

// Decode joins tokens.
func (f *Fuse) Decode(tokens []string) ([]string, error) {
	return []string{strings.Join(tokens, "")}, nil
}
