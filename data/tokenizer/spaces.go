package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// spaceMark stands for a space in SentencePiece's vocabularies.
const spaceMark = "▁"

// spaces is what a SentencePiece-style tokenizer does with spaces: tokenizers write it as normalizers or as the
// pre-tokenizer Metaspace, which differ in where added tokens are searched and in when the text gets a space before it.
type spaces struct {
	replace   bool // normalizer: spaces become marks
	prepend   bool // normalizer: a mark before every text between added tokens, even if it begins with a space
	metaspace bool // pre-tokenizer: spaces become marks
	// of metaspace: a mark before what has none, at the text's beginning ("first"), "always" or "never"
	scheme string
	split  bool // of metaspace: every mark begins a word
	strip  bool // decoder: one space less at the beginning
}

func (s *spaces) normalize(text string) string {
	if s.prepend && text != "" {
		text = spaceMark + text
	}
	if s.replace {
		text = strings.ReplaceAll(text, " ", spaceMark)
	}
	return text
}

// mark is what Metaspace does to text without added tokens; first is true at the beginning of the whole text.
func (s *spaces) mark(text string, first bool) string {
	if !s.metaspace {
		return text
	}
	text = strings.ReplaceAll(text, " ", spaceMark)
	if (s.scheme == "always" || s.scheme == "first" && first) && !strings.HasPrefix(text, spaceMark) {
		text = spaceMark + text
	}
	return text
}

// markPattern cuts before every mark.
var markPattern = &pattern{name: "Metaspace", next: func(s string, i int) int { return nextMark(s, i+1) }}

// runPattern cuts before every mark that follows something else.
var runPattern = &pattern{name: "runs of marks", next: func(s string, i int) int {
	for strings.HasPrefix(s[i:], spaceMark) {
		i += len(spaceMark)
	}
	return nextMark(s, i)
}}

func nextMark(s string, i int) int {
	if n := strings.Index(s[i:], spaceMark); n >= 0 {
		return i + n
	}
	return len(s)
}

// compileSpaces chooses the words to merge in and prepares decoding.
func (t *Tokenizer) compileSpaces() {
	switch d := &t.def; {
	case d.spaces.split:
		t.words = markPattern
	case !d.ignoreMerges && !d.mergesAcrossWords():
		t.words = runPattern // the ids of the whole, sooner: no merge reaches over the cuts
	default:
		t.words = wholePattern
	}
	t.byteTokens = make([]int16, len(t.pieces))
	for id, piece := range t.pieces {
		piece = strings.ReplaceAll(piece, spaceMark, " ")
		t.pieces[id], t.byteTokens[id] = piece, -1
		if b, ok := fallbackByte(piece); ok {
			t.byteTokens[id] = int16(b)
		}
	}
}

func (d *definition) mergesAcrossWords() bool {
	for _, m := range d.merges {
		whole := m[0] + m[1]
		if runPattern.next(whole, 0) < len(whole) {
			return true
		}
	}
	return false
}

// fallbackByte reads a token such as <0x0A>.
func fallbackByte(token string) (byte, bool) {
	if len(token) != len("<0x0A>") || token[:3] != "<0x" || token[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(b), err == nil
}

// fallback finds the tokens of characters and those of bytes, for characters that have none.
func (b *bpe) fallback(vocab map[string]uint32) error {
	for c := range b.bytes {
		token := fmt.Sprintf("<0x%02X>", c)
		id, ok := vocab[token]
		if !ok {
			return fmt.Errorf("the vocabulary has no token %q for byte_fallback: some text would be lost", token)
		}
		b.bytes[c] = id
	}
	b.runes = map[rune]uint32{}
	for token, id := range vocab {
		if r, n := utf8.DecodeRuneInString(token); n == len(token) && n > 0 && (r != utf8.RuneError || n > 1) {
			b.runes[r] = id
		}
	}
	return nil
}

// decodeFallback is the decoder of SentencePiece-style tokenizers: a run of byte tokens is text as a
// whole or not at all.
func (t *Tokenizer) decodeFallback(ids []uint32) string {
	var b strings.Builder
	b.Grow(4 * len(ids))
	var run []byte
	flush := func() {
		if utf8.Valid(run) {
			b.Write(run)
		} else {
			b.WriteString(strings.Repeat("\ufffd", len(run)))
		}
		run = run[:0]
	}
	for _, id := range ids {
		if c := t.byteTokens[id]; c >= 0 {
			run = append(run, byte(c))
			continue
		}
		flush()
		b.WriteString(t.pieces[id])
	}
	flush()
	if t.def.spaces.strip {
		return strings.TrimPrefix(b.String(), " ")
	}
	return b.String()
}

// replacement is the normalizer and the decoder Replace.
type replacement struct {
	Type    string `json:"type"`
	Pattern struct {
		String string `json:"String"`
	} `json:"pattern"`
	Content string `json:"content"`
}

func newReplacement(from, to string) replacement {
	r := replacement{Type: "Replace", Content: to}
	r.Pattern.String = from
	return r
}

// metaspace is the pre-tokenizer of that name.
type metaspace struct {
	Type           string `json:"type"`
	Replacement    string `json:"replacement"`
	StrRep         string `json:"str_rep,omitempty"`          // the same, before tokenizers 0.15
	AddPrefixSpace *bool  `json:"add_prefix_space,omitempty"` // before tokenizers 0.15: always or never
	PrependScheme  string `json:"prepend_scheme"`
	Split          *bool  `json:"split,omitempty"` // nil: true
}

func (s *spaces) readNormalizer(kind string, raw json.RawMessage) error {
	switch kind {
	case "Prepend":
		var p struct {
			Type    string `json:"type"`
			Prepend string `json:"prepend"`
		}
		if err := decode(raw, &p); err != nil {
			return err
		}
		if p.Prepend != spaceMark || s.prepend {
			return fmt.Errorf("a Prepend of %q is not supported, only one of %q is", p.Prepend, spaceMark)
		}
		s.prepend = true
		return nil
	case "Replace":
		var r replacement
		if err := decode(raw, &r); err != nil {
			return err
		}
		if r != newReplacement(" ", spaceMark) {
			return fmt.Errorf("a Replace of %q by %q is not supported, only of a space by %q is", r.Pattern.String,
				r.Content, spaceMark)
		}
		s.replace = true
		return nil
	}
	return fmt.Errorf("type %s is not supported with byte_fallback, only NFC, NFKC, Prepend and Replace are", kind)
}

func (s *spaces) readPreTokenizer(kind string, raw json.RawMessage) error {
	switch kind {
	case "Split": // Gemma's files cut at spaces when none is left
		var cut split
		if err := decode(raw, &cut); err != nil {
			return err
		}
		if !s.replace || cut.Pattern.String != " " || cut.Pattern.Regex != "" || cut.Invert {
			return fmt.Errorf("a Split is not supported with byte_fallback, unless at spaces that a normalizer " +
				"has replaced")
		}
		return nil
	case "Metaspace":
		var m metaspace
		if err := decode(raw, &m); err != nil {
			return err
		}
		if m.Replacement != spaceMark {
			return fmt.Errorf("a Metaspace with replacement %q is not supported, only %q is", m.Replacement, spaceMark)
		}
		if s.replace || s.prepend {
			return fmt.Errorf("a Metaspace after the normalizers Replace or Prepend is not supported")
		}
		s.metaspace, s.split = true, m.Split == nil || *m.Split
		switch {
		case m.PrependScheme == "first", m.PrependScheme == "always", m.PrependScheme == "never":
			s.scheme = m.PrependScheme
			if m.AddPrefixSpace != nil && !*m.AddPrefixSpace && s.scheme != "never" {
				return fmt.Errorf("a Metaspace with prepend_scheme %s but without add_prefix_space contradicts itself",
					s.scheme)
			}
		case m.PrependScheme == "" && m.AddPrefixSpace != nil && !*m.AddPrefixSpace:
			s.scheme = "never"
		case m.PrependScheme == "":
			s.scheme = "always"
		default:
			return fmt.Errorf("a Metaspace with prepend_scheme %q is not supported, only first, always and never are",
				m.PrependScheme)
		}
		return nil
	}
	return fmt.Errorf("type %s is not supported with byte_fallback, only Metaspace is", kind)
}

func (s *spaces) readDecoder(kind string, raw json.RawMessage) error {
	for _, strip := range []bool{true, false} {
		known := spaces{strip: strip}
		if sameJSON(raw, known.decoder()) {
			s.strip = strip
			return nil
		}
	}
	return fmt.Errorf("type %s is not supported with byte_fallback, only a Sequence of Replace of %q by a space, "+
		"ByteFallback, Fuse and "+
		"perhaps Strip of one space at the start is", kind, spaceMark)
}

// sameJSON reports whether raw, however it is laid out, is v.
func sameJSON(raw json.RawMessage, v any) bool {
	content, err := json.Marshal(v)
	if err != nil {
		return false
	}
	var given, known any
	if json.Unmarshal(raw, &given) != nil || json.Unmarshal(content, &known) != nil {
		return false
	}
	first, err := json.Marshal(given) // maps are written by sorted key
	if err != nil {
		return false
	}
	second, err := json.Marshal(known)
	return err == nil && bytes.Equal(first, second)
}

func (s *spaces) normalizers() (parts []any) {
	if s.prepend {
		parts = append(parts, map[string]any{"type": "Prepend", "prepend": spaceMark})
	}
	if s.replace {
		parts = append(parts, newReplacement(" ", spaceMark))
	}
	return parts
}

func (s *spaces) preTokenizer() any {
	if !s.metaspace {
		return nil
	}
	return metaspace{Type: "Metaspace", Replacement: spaceMark, PrependScheme: s.scheme, Split: &s.split}
}

func (s *spaces) decoder() any {
	parts := []any{newReplacement(spaceMark, " "), map[string]any{"type": "ByteFallback"},
		map[string]any{"type": "Fuse"}}
	if s.strip {
		parts = append(parts, map[string]any{"type": "Strip", "content": " ", "start": 1, "stop": 0})
	}
	return map[string]any{"type": "Sequence", "decoders": parts}
}
