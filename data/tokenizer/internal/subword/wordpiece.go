package subword

import (
	"unicode/utf8"

	"steplm/data/tokenizer/internal/part"
)

// WordPiece takes, from left to right, the longest token that the rest of a word begins with. A word that this does
// not reach the end of is one unknown token.
type WordPiece struct {
	Type     string            `json:"type"`
	UnkToken *string           `json:"unk_token"`
	Prefix   *string           `json:"continuing_subword_prefix"` // of tokens that do not begin a word
	MaxChars *int              `json:"max_input_chars_per_word"`
	Tokens   map[string]uint32 `json:"vocab"`

	longest int // bytes of the longest token
}

// Part is the model.
func (m *WordPiece) Part() Model { return m }

// Check gives fields that are left out their defaults.
func (m *WordPiece) Check() error {
	if m.UnkToken == nil {
		m.UnkToken = new("[UNK]")
	}
	if m.Prefix == nil {
		m.Prefix = new("##")
	}
	if m.MaxChars == nil {
		m.MaxChars = new(100)
	}
	m.longest = longest(m.Tokens)
	return nil
}

func longest(tokens map[string]uint32) (n int) {
	for token := range tokens {
		n = max(n, len(token))
	}
	return n
}

// Vocab is the id of every token.
func (m *WordPiece) Vocab() map[string]uint32 { return m.Tokens }

// Append appends the ids of a word.
func (m *WordPiece) Append(ids []uint32, word string) ([]uint32, error) {
	before := len(ids)
	if utf8.RuneCountInString(word) > *m.MaxChars {
		return m.unk(ids, word)
	}
	var key []byte
	for start := 0; start < len(word); {
		key = key[:0]
		if start > 0 {
			key = append(key, *m.Prefix...)
		}
		prefix := len(key)
		key = append(key, word[start:min(len(word), start+m.longest)]...)
		end := 0
		for end = len(key); end > prefix; end-- {
			if id, ok := m.Tokens[string(key[:end])]; ok && utf8.Valid(key[prefix:end]) {
				ids = append(ids, id)
				break
			}
		}
		if end == prefix {
			return m.unk(ids[:before], word)
		}
		start += end - prefix
	}
	return ids, nil
}

func (m *WordPiece) unk(ids []uint32, word string) ([]uint32, error) {
	id, ok := m.Tokens[*m.UnkToken]
	if !ok {
		return nil, unknown(word, "the unk_token is not in the vocabulary")
	}
	return append(ids, id), nil
}

// Write writes the model.
func (m *WordPiece) Write(w *part.Writer) {
	w.Field("type", "WordPiece")
	w.Field("unk_token", m.UnkToken)
	w.Field("continuing_subword_prefix", m.Prefix)
	w.Field("max_input_chars_per_word", m.MaxChars)
	w.Vocab(m.Tokens)
}
