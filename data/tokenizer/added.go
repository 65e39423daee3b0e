package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"steplm/data/tokenizer/internal/runes"
	"steplm/data/tokenizer/internal/trie"
)

// addedToken is a token that is found in the text before it is split into words, in Hugging Face's notation.
type addedToken struct {
	ID         uint32 `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // not inside a word
	Lstrip     bool   `json:"lstrip"`      // with the white space before it
	Rstrip     bool   `json:"rstrip"`      // and after it
	Normalized bool   `json:"normalized"`  // searched after normalization, not before
	Special    bool   `json:"special"`
}

func (a addedToken) check() error {
	if a.Content == "" {
		return fmt.Errorf("added token with id %d is empty", a.ID)
	}
	return nil
}

// finder finds added tokens: the leftmost in the text, and of those that start there the longest.
type finder struct {
	tree   *trie.Trie
	tokens map[uint32]addedToken
}

func newFinder() *finder { return &finder{trie.New(), map[uint32]addedToken{}} }

func (f *finder) add(text string, a addedToken) {
	f.tree.Insert(text, a.ID)
	f.tokens[a.ID] = a
}

// find is the longest token that s begins with.
func (f *finder) find(s string) (id uint32, length int) { return f.tree.Longest(s) }

// encode appends the ids of the tokens it finds and, by plain, those of the text between them, which is never empty;
// first is true for what s begins with. What is left to special is not taken for a token.
func (f *finder) encode(ids []uint32, s string, special *specials,
	plain func(ids []uint32, s string, first bool) ([]uint32, error)) (_ []uint32, err error) {
	start := 0
	for i := 0; i < len(s) && !f.tree.Empty(); {
		if !f.tree.Begins(s[i]) {
			i++
			continue
		}
		id, length := f.find(s[i:])
		if length == 0 {
			i++
			continue
		}
		from, to := i, i+length
		i = to
		token := f.tokens[id]
		if special.isText(token) || token.SingleWord && (endsInWord(s[:from]) || beginsWithWord(s[to:])) {
			continue
		}
		if token.Lstrip {
			from = max(start, len(strings.TrimRightFunc(s[:from], runes.Space.Contains)))
		}
		if token.Rstrip {
			to = len(s) - len(strings.TrimLeftFunc(s[to:], runes.Space.Contains))
		}
		if start < from {
			if ids, err = plain(ids, s[start:from], start == 0); err != nil {
				return nil, err
			}
		}
		if from < to { // or else it is white space, all of which the token before took
			ids = append(ids, id)
		}
		start = to
	}
	if start < len(s) {
		return plain(ids, s[start:], start == 0)
	}
	return ids, nil
}

func endsInWord(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && runes.Word.Contains(r)
}

func beginsWithWord(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && runes.Word.Contains(r)
}

// specials says what becomes of special tokens written out in a text, and counts those left as text.
type specials struct {
	text  bool // they are ordinary text
	count int
}

// isText reports whether a token is to be ordinary text.
func (s *specials) isText(a addedToken) bool {
	if !s.text || !a.Special {
		return false
	}
	s.count++
	return true
}
