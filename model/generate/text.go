package generate

import (
	"strings"
	"unicode/utf8"
)

// Decoder makes text of ids, as a tokenizer does: what ends inside a character ends in U+FFFD.
type Decoder interface {
	Decode(ids []uint32) (string, error)
	VocabSize() int // all ids that have a text are below it
}

// Text makes text of a sequence's tokens, piece by piece: no piece ends inside a character, and no piece has a part of
// a stop string. Ids that the decoder does not have, as of a model whose vocabulary is the larger one, have no text, as
// in transformers. The zero value has no decoder; see NewText.
type Text struct {
	decoder Decoder
	stops   []string
	ids     []uint32 // whose text depends on each other: those shown, and those after them
	shown   int      // of ids, whose text has been taken
	pending string   // taken, and perhaps the beginning of a stop string
	stopped bool
}

// contextTokens is how many tokens before a token its text may depend on: a space that a decoder leaves out at the
// beginning, say.
const contextTokens = 8

// mostHeld is how many tokens may wait for the end of a character: more are not one.
const mostHeld = 8

// NewText makes text of what follows on a prompt, up to the first of the stop strings.
func NewText(d Decoder, prompt []uint32, stops []string) *Text {
	t := &Text{decoder: d}
	for _, id := range prompt[max(0, len(prompt)-contextTokens):] {
		if t.known(id) {
			t.ids = append(t.ids, id)
		}
	}
	t.shown = len(t.ids)
	for _, s := range stops {
		if s != "" {
			t.stops = append(t.stops, s)
		}
	}
	return t
}

// Words is the whole text of ids that follow on a prompt.
func Words(d Decoder, prompt, ids []uint32) (all string, err error) {
	t := NewText(d, prompt, nil)
	for _, id := range ids {
		piece, _, err := t.Add(id)
		if err != nil {
			return "", err
		}
		all += piece
	}
	rest, err := t.Rest()
	return all + rest, err
}

// Add takes a token, and returns the text that is certain by now: perhaps none. stopped says that a stop string has
// come; it is in no piece, nor is what comes after it.
func (t *Text) Add(id uint32) (piece string, stopped bool, err error) {
	if t.stopped {
		return "", true, nil
	}
	if !t.known(id) {
		return "", false, nil
	}
	t.ids = append(t.ids, id)
	more, err := t.take(false)
	if err != nil {
		return "", false, err
	}
	return t.release(more, false)
}

// known reports whether the decoder has an id.
func (t *Text) known(id uint32) bool { return int64(id) < int64(t.decoder.VocabSize()) }

// Rest returns what was held back, when no more tokens come.
func (t *Text) Rest() (piece string, err error) {
	if t.stopped {
		return "", nil
	}
	more, err := t.take(true)
	if err != nil {
		return "", err
	}
	piece, _, err = t.release(more, true)
	return piece, err
}

// take is the text of the tokens that have not been shown, if it ends with a whole character.
func (t *Text) take(all bool) (string, error) {
	before, err := t.decoder.Decode(t.ids[:t.shown])
	if err != nil {
		return "", err
	}
	whole, err := t.decoder.Decode(t.ids)
	if err != nil {
		return "", err
	}
	if !all && strings.HasSuffix(whole, string(utf8.RuneError)) && len(t.ids)-t.shown < mostHeld {
		return "", nil
	}
	more := whole[commonPrefix(before, whole):]
	t.shown = len(t.ids)
	if cut := t.shown - contextTokens; cut > 0 && !strings.HasSuffix(whole, string(utf8.RuneError)) {
		t.ids, t.shown = append([]uint32(nil), t.ids[cut:]...), contextTokens
	}
	return more, nil
}

// commonPrefix is how many bytes of whole are the text before: all of it, but where it ended inside a character that
// is whole now.
func commonPrefix(before, whole string) int {
	n := 0
	for n < min(len(before), len(whole)) && before[n] == whole[n] {
		n++
	}
	for n < len(whole) && !utf8.RuneStart(whole[n]) {
		n--
	}
	return n
}

// release is what of pending and more is no part of a stop string.
func (t *Text) release(more string, all bool) (string, bool, error) {
	text := t.pending + more
	first := -1
	for _, s := range t.stops {
		if at := strings.Index(text, s); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	if first >= 0 {
		t.pending, t.stopped = "", true
		return text[:first], true, nil
	}
	held := 0
	for _, s := range t.stops {
		for n := min(len(s)-1, len(text)); n > held && !all; n-- {
			if strings.HasSuffix(text, s[:n]) {
				held = n
			}
		}
	}
	for held > 0 && held < len(text) && !utf8.RuneStart(text[len(text)-held]) {
		held++
	}
	t.pending = text[len(text)-held:]
	return text[:len(text)-held], false, nil
}
