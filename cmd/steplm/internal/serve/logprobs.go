package serve

import (
	"math"
	"strings"
	"unicode/utf8"

	"steplm/cmd/steplm/internal/speak"
	"steplm/model/generate"
)

// least stands for the logarithm of a probability of 0, which JSON has no number for, as in OpenAI's answers.
const least = -9999

func finite(logProb float64) float64 { return math.Max(logProb, least) }

// spelling says what tokens are as text, each behind the one before it.
type spelling struct {
	voice speak.Voice
	last  *uint32 // the token before; nil: none
}

// spell is a token's text: what it adds to the one before. What ends inside a character has U+FFFD.
func (s *spelling) spell(id uint32) string {
	own, err := s.voice.Tok.Decode([]uint32{id})
	if err != nil {
		return ""
	}
	// A decoder may leave out the space at the beginning of a text, which the token that begins one is not.
	if begin, ok := s.voice.Tok.BeginOfText(); s.last == nil || ok && *s.last == begin {
		return own
	}
	before, err1 := s.voice.Tok.Decode([]uint32{*s.last})
	both, err2 := s.voice.Tok.Decode([]uint32{*s.last, id})
	if text, ok := strings.CutPrefix(both, before); ok && err1 == nil && err2 == nil {
		return text
	}
	return own
}

func (s *spelling) next(id uint32) { s.last = &id }

// tokenLogProbs are those of a completion: four lists over its tokens.
type tokenLogProbs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogProbs []*float64           `json:"token_logprobs"` // null of a text's first token
	TopLogProbs   []map[string]float64 `json:"top_logprobs"`
	TextOffset    []int                `json:"text_offset"` // in characters
}

// add appends a token. Of two tokens with one text the likelier one is in the map: the other must not hide it.
func (l *tokenLogProbs) add(s *spelling, t generate.Token, offset int) (text string) {
	text = s.spell(t.ID)
	l.Tokens, l.TextOffset = append(l.Tokens, text), append(l.TextOffset, offset)
	var own *float64
	var top map[string]float64
	if t.Known {
		p := finite(t.LogProb)
		own, top = &p, map[string]float64{}
		for _, x := range t.Top {
			if key := s.spell(x.ID); !has(top, key) {
				top[key] = finite(x.LogProb)
			}
		}
		if !has(top, text) {
			top[text] = p
		}
	}
	l.TokenLogProbs, l.TopLogProbs = append(l.TokenLogProbs, own), append(l.TopLogProbs, top)
	s.next(t.ID)
	return text
}

func has(m map[string]float64, key string) bool {
	_, ok := m[key]
	return ok
}

// tokenChat is a token of a conversation's answer.
type tokenChat struct {
	Token   string  `json:"token"`
	LogProb float64 `json:"logprob"`
	// Bytes are those of the text; null where it ends inside a character.
	Bytes []int       `json:"bytes"`
	Top   []tokenChat `json:"top_logprobs,omitempty"`
}

func newTokenChat(text string, logProb float64) tokenChat {
	t := tokenChat{Token: text, LogProb: finite(logProb)}
	if !strings.ContainsRune(text, utf8.RuneError) {
		t.Bytes = []int{}
		for _, b := range []byte(text) {
			t.Bytes = append(t.Bytes, int(b))
		}
	}
	return t
}

// chatTokens are those of a piece.
func chatTokens(s *spelling, list []generate.Token) map[string]any {
	all := []tokenChat{}
	for _, t := range list {
		one := newTokenChat(s.spell(t.ID), t.LogProb)
		for _, x := range t.Top {
			one.Top = append(one.Top, newTokenChat(s.spell(x.ID), x.LogProb))
		}
		all = append(all, one)
		s.next(t.ID)
	}
	return map[string]any{"content": all}
}
