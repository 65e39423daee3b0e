package decode

import (
	"encoding/json"
	"strings"

	"steplm/data/tokenizer/internal/part"
	"steplm/data/tokenizer/internal/runes"
)

// Decoder changes tokens, in place or into another list. Its JSON is that of the part.
type Decoder interface {
	Decode(tokens []string) ([]string, error)
}

var kinds part.Kinds[Decoder]

func init() {
	kinds = part.Kinds[Decoder]{
		"Sequence":     part.Sequence("decoders", func() part.Kinds[Decoder] { return kinds }),
		"ByteLevel":    part.One[Decoder, ByteLevel],
		"ByteFallback": part.One[Decoder, ByteFallback],
		"Fuse":         part.One[Decoder, Fuse],
		"Strip":        part.One[Decoder, Strip],
		"Replace":      part.One[Decoder, Replace],
		"Metaspace":    part.One[Decoder, Metaspace],
		"WordPiece":    part.One[Decoder, WordPiece],
		"BPEDecoder":   part.One[Decoder, BPE],
	}
}

// Chain is decoders in the order in which they apply. The tokens of none are joined by spaces.
type Chain []Decoder

// Read reads the decoder of a tokenizer.json.
func Read(raw json.RawMessage) (Chain, error) {
	parts, err := kinds.Read(raw)
	return Chain(parts), err
}

// Text decodes tokens, which it may change.
func (c Chain) Text(tokens []string) (_ string, err error) {
	if len(c) == 0 {
		return strings.Join(tokens, " "), nil
	}
	for _, d := range c {
		if tokens, err = d.Decode(tokens); err != nil {
			return "", err
		}
	}
	return strings.Join(tokens, ""), nil
}

// JustBytes reports whether tokens are nothing but bytes in GPT-2's alphabet.
func (c Chain) JustBytes() bool {
	if len(c) != 1 {
		return false
	}
	_, ok := c[0].(*ByteLevel)
	return ok
}

// MarshalJSON writes null, the one part, or a Sequence.
func (c Chain) MarshalJSON() ([]byte, error) {
	return part.SequenceJSON("decoders", c)
}

// ByteLevel reads bytes in GPT-2's alphabet; its fields concern the way to ids.
type ByteLevel struct {
	Type           string `json:"type"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
	TrimOffsets    bool   `json:"trim_offsets"`
	UseRegex       *bool  `json:"use_regex,omitempty"`
}

// NewByteLevel is the decoder as it is written.
func NewByteLevel(prefixSpace bool) *ByteLevel {
	return &ByteLevel{"ByteLevel", prefixSpace, true, new(true)}
}

// Part is the decoder.
func (b *ByteLevel) Part() Decoder { return b }

// Check finds nothing to refuse.
func (b *ByteLevel) Check() error { return nil }

// Decode makes one token of all.
func (b *ByteLevel) Decode(tokens []string) ([]string, error) {
	var all strings.Builder
	for _, t := range tokens {
		text, _ := runes.TokenBytes(t)
		all.WriteString(text)
	}
	return []string{runes.ReplaceInvalid(all.String())}, nil
}
