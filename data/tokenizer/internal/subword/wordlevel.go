package subword

import "steplm/data/tokenizer/internal/part"

// WordLevel has a token for every word it knows, and one for all others.
type WordLevel struct {
	Type     string            `json:"type"`
	Tokens   map[string]uint32 `json:"vocab"`
	UnkToken *string           `json:"unk_token"`
}

// Part is the model.
func (m *WordLevel) Part() Model { return m }

// Check gives fields that are left out their defaults.
func (m *WordLevel) Check() error {
	if m.UnkToken == nil {
		m.UnkToken = new("<unk>")
	}
	return nil
}

// Vocab is the id of every token.
func (m *WordLevel) Vocab() map[string]uint32 { return m.Tokens }

// Append appends the id of a word.
func (m *WordLevel) Append(ids []uint32, word string) ([]uint32, error) {
	id, ok := m.Tokens[word]
	if !ok {
		if id, ok = m.Tokens[*m.UnkToken]; !ok {
			return nil, unknown(word, "the unk_token is not in the vocabulary")
		}
	}
	return append(ids, id), nil
}

// Write writes the model.
func (m *WordLevel) Write(w *part.Writer) {
	w.Field("type", "WordLevel")
	w.Field("unk_token", m.UnkToken)
	w.Vocab(m.Tokens)
}
