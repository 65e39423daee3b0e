package subword

import (
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"

	"steplm/data/tokenizer/internal/part"
	"steplm/data/tokenizer/internal/trie"
)

// unknownPenalty is how much less than the worst token an unknown rune is worth.
const unknownPenalty = 10

// Scored is a token of a Unigram model with its log-probability.
type Scored struct {
	Text  string
	Score float64
}

// UnmarshalJSON reads ["text", score].
func (s *Scored) UnmarshalJSON(content []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(content, &pair); err != nil || len(pair) != 2 {
		return fmt.Errorf("%s is not a token and its score", content)
	}
	if err := json.Unmarshal(pair[0], &s.Text); err != nil {
		return err
	}
	return json.Unmarshal(pair[1], &s.Score)
}

type unigramFile struct {
	Type         string   `json:"type"`
	UnkID        *uint32  `json:"unk_id"`
	Vocab        []Scored `json:"vocab"`
	ByteFallback bool     `json:"byte_fallback"`

	model *Unigram
}

func (f *unigramFile) Part() Model { return f.model }

func (f *unigramFile) Check() (err error) {
	f.model, err = NewUnigram(f.Vocab, f.UnkID, f.ByteFallback)
	return err
}

// Unigram cuts a word into the tokens of the highest sum of scores (Kudo, 2018, "Subword Regularization"). Runes that
// no token holds are unknown; neighbours are one unknown token, or bytes.
type Unigram struct {
	tokens       []Scored // by id
	ids          map[string]uint32
	unk          *uint32
	byteFallback bool
	bytes        [256]uint32
	allBytes     bool // bytes has every one
	tree         *trie.Trie
	unkScore     float64
}

// NewUnigram is a model of tokens, whose ids are their places.
func NewUnigram(tokens []Scored, unk *uint32, byteFallback bool) (*Unigram, error) {
	m := &Unigram{tokens: tokens, unk: unk, byteFallback: byteFallback, ids: make(map[string]uint32, len(tokens)),
		tree: trie.New()}
	least := math.Inf(1)
	for i, t := range tokens {
		if t.Text == "" {
			return nil, fmt.Errorf("token %d is empty", i)
		}
		if first, ok := m.ids[t.Text]; ok {
			return nil, fmt.Errorf("token %q has both id %d and id %d", t.Text, first, i)
		}
		if math.IsNaN(t.Score) {
			return nil, fmt.Errorf("token %d, %q, has a score that is not a number", i, t.Text)
		}
		m.ids[t.Text] = uint32(i)
		m.tree.Insert(t.Text, uint32(i))
		least = min(least, t.Score)
	}
	if unk != nil && int64(*unk) >= int64(len(tokens)) {
		return nil, fmt.Errorf("unk_id %d is not below the number of tokens, %d", *unk, len(tokens))
	}
	m.unkScore = least - unknownPenalty
	m.bytes, m.allBytes = fallbackBytes(m.ids)
	return m, nil
}

// Vocab is the id of every token.
func (m *Unigram) Vocab() map[string]uint32 { return m.ids }

// bestEnd is the best way to reach a place of the word.
type bestEnd struct {
	score float64
	start int // of its last token; -1: none reaches it
	id    uint32
	known bool
}

// Append appends the ids of a word.
func (m *Unigram) Append(ids []uint32, word string) ([]uint32, error) {
	ends := make([]bestEnd, len(word)+1)
	for i := range ends {
		ends[i].start = -1
	}
	for start, size := 0, 0; start < len(word); start += size {
		_, size = utf8.DecodeRuneInString(word[start:])
		here := ends[start].score
		single := false
		offer := func(end int, id uint32, score float64, known bool) {
			if to := &ends[end]; to.start < 0 || score > to.score {
				*to = bestEnd{score, start, id, known}
			}
		}
		m.tree.Each(word[start:], func(id uint32, length int) {
			offer(start+length, id, m.tokens[id].Score+here, true)
			single = single || length == size
		})
		if !single {
			if m.unk == nil {
				return nil, unknown(word[start:start+size], "there is no unk_id")
			}
			offer(start+size, 0, m.unkScore+here, false)
		}
	}
	first := len(ids)
	for end := len(word); end > 0; { // from the last token to the first
		e := ends[end]
		if e.known && (m.unk == nil || e.id != *m.unk) {
			ids = append(ids, e.id)
			end = e.start
			continue
		}
		start := e.start
		for start > 0 && (!ends[start].known || m.unk != nil && ends[start].id == *m.unk) {
			start = ends[start].start
		}
		ids = m.appendUnknown(ids, word[start:end])
		end = start
	}
	for i, j := first, len(ids)-1; i < j; i, j = i+1, j-1 {
		ids[i], ids[j] = ids[j], ids[i]
	}
	return ids, nil
}

// appendUnknown appends, the last first, the ids of runes that are unknown.
func (m *Unigram) appendUnknown(ids []uint32, text string) []uint32 {
	if id, ok := m.ids[text]; ok {
		return append(ids, id)
	}
	if m.byteFallback && m.fallsBack(text) {
		for i := len(text) - 1; i >= 0; i-- {
			ids = append(ids, m.bytes[text[i]])
		}
		return ids
	}
	return append(ids, *m.unk)
}

func (m *Unigram) fallsBack(text string) bool {
	if m.allBytes {
		return true
	}
	for i := range len(text) {
		if m.bytes[text[i]] == noToken {
			return false
		}
	}
	return true
}

// Write writes the model.
func (m *Unigram) Write(w *part.Writer) {
	w.Field("type", "Unigram")
	w.Field("unk_id", m.unk)
	w.Field("byte_fallback", m.byteFallback)
	w.List("vocab", len(m.tokens), func(i int) any { return []any{m.tokens[i].Text, m.tokens[i].Score} })
}
