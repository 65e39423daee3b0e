package examples

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"steplm/data/chat"
	"steplm/data/text"
)

// record is one example as a file has it.
type record struct {
	// Alpaca's:
	instruction, input, output string
	messages                   []chat.Message // of a conversation; nil: it is Alpaca's
}

// The keys that records have. Text is Alpaca's own, of prompt and answer together: it says nothing new.
const (
	keyInstruction = "instruction"
	keyInput       = "input"
	keyOutput      = "output"
	keyText        = "text"
	keyMessages    = "messages"
	keyTalk        = "conversations"
)

// talkKeys are those of conversations, of which the first that is there counts.
var talkKeys = []string{keyMessages, keyTalk}

var keys = append([]string{keyInstruction, keyInput, keyOutput, keyText}, talkKeys...)

// shape says what examples have.
const shape = "an example has instruction and output, and input if it needs one, or messages, or conversations"

// errEmpty is a record whose answer is empty, which teaches nothing.
var errEmpty = errors.New("its answer is empty")

// parse reads a record. others are its keys that nobody reads.
func parse(object []byte) (r record, others []string, err error) {
	if !utf8.Valid(object) {
		return r, nil, errors.New("it is not UTF-8 text")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(object, &fields); err != nil {
		return r, nil, plainJSON(err)
	}
	if fields == nil {
		return r, nil, errors.New("it is null: an example is an object")
	}
	if others, err = unread(slices.Sorted(maps.Keys(fields))); err != nil {
		return r, nil, err
	}
	for _, key := range talkKeys {
		if raw, ok := fields[key]; ok {
			r.messages, err = conversation(key, raw)
			return r, others, err
		}
	}
	for _, f := range []struct {
		key    string
		to     *string
		needed bool
	}{{keyInstruction, &r.instruction, true}, {keyInput, &r.input, false}, {keyOutput, &r.output, true}} {
		raw, ok := fields[f.key]
		switch {
		case !ok && f.needed:
			return r, others, fmt.Errorf("it has no %q: %s", f.key, shape)
		case !ok || !f.needed && string(raw) == "null":
			continue
		case string(raw) == "null" || raw[0] != '"':
			return r, others, fmt.Errorf("its %q is %s: it must be a text", f.key, short(raw))
		}
		if *f.to, err = text.Unquote(raw); err != nil {
			return r, others, fmt.Errorf("its %q: %w", f.key, err)
		}
	}
	return r, others, r.check()
}

// unread are the keys, or columns, that nobody reads. One that is nearly one of those that are read is an error.
func unread(names []string) (others []string, err error) {
	for _, name := range names {
		if slices.Contains(keys, name) {
			continue
		}
		if near := nearest(name); near != "" {
			return nil, fmt.Errorf("it has the key %q, which nobody reads: did you mean %q?", name, near)
		}
		others = append(others, name)
	}
	return others, nil
}

// check refuses an example that asks or answers nothing.
func (r record) check() error {
	if strings.TrimSpace(r.instruction) == "" {
		return errors.New("its instruction is empty")
	}
	if strings.TrimSpace(r.output) == "" {
		return errEmpty
	}
	return nil
}

// turn is a message as files have it: by role and content, or as ShareGPT has it by from and value.
type turn struct {
	Role    *words `json:"role"`
	Content *words `json:"content"`
	From    *words `json:"from"`
	Value   *words `json:"value"`
}

// words are a JSON string without half of a surrogate pair.
type words string

// UnmarshalJSON implements json.Unmarshaler.
func (w *words) UnmarshalJSON(raw []byte) error {
	if raw[0] != '"' {
		return json.Unmarshal(raw, (*string)(w)) // which says what it is instead
	}
	s, err := text.Unquote(raw)
	*w = words(s)
	return err
}

// speakers are ShareGPT's, by their roles.
var speakers = map[string]string{"human": chat.User, "user": chat.User, "gpt": chat.Assistant,
	"assistant": chat.Assistant, "system": chat.System}

// named gives a message of ShareGPT its role.
func (m turn) named() (turn, error) {
	if m.Role != nil || m.From == nil {
		return m, nil
	}
	known, ok := speakers[string(*m.From)]
	if !ok {
		return m, fmt.Errorf("is from %q: there are %s", *m.From,
			strings.Join(slices.Sorted(maps.Keys(speakers)), ", "))
	}
	role := words(known)
	m.Role, m.Content = &role, m.Value
	return m, nil
}

// conversation reads messages, among which must be an answer.
func conversation(key string, raw json.RawMessage) ([]chat.Message, error) {
	var list []turn
	err := json.Unmarshal(raw, &list)
	if errors.As(err, new(text.HalfPair)) {
		return nil, fmt.Errorf("its %s: %w", key, err)
	}
	if err != nil {
		return nil, fmt.Errorf("its %s are %s: they must be a list of objects with role and content, or with from and "+
			"value", key, short(raw))
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("it has no %s", key)
	}
	var messages []chat.Message
	answers, said := 0, 0
	for i, m := range list {
		m, err := m.named()
		if err != nil {
			return nil, fmt.Errorf("message %d %w", i+1, err)
		}
		if m.Role == nil || *m.Role == "" {
			return nil, fmt.Errorf("message %d has no role", i+1)
		}
		if m.Content == nil {
			return nil, fmt.Errorf("message %d has no content", i+1)
		}
		if *m.Role == chat.Assistant {
			if answers++; strings.TrimSpace(string(*m.Content)) != "" {
				said++
			}
		}
		messages = append(messages, chat.Message{Role: string(*m.Role), Content: string(*m.Content)})
	}
	switch {
	case answers == 0:
		return nil, fmt.Errorf("none of its %d messages is the %s's: there is nothing to learn", len(list),
			chat.Assistant)
	case said == 0:
		return nil, errEmpty
	}
	return messages, nil
}

// short is JSON for an error, cut where it is long.
func short(raw []byte) string {
	const most = 40
	if text := []rune(string(raw)); len(text) > most {
		return string(text[:most]) + "..."
	}
	return string(raw)
}

// nearest is the key that a misspelled one means: one letter more, fewer or another, or another case; "" is none.
func nearest(key string) string {
	for _, known := range keys {
		if strings.EqualFold(key, known) || within(key, known) {
			return known
		}
	}
	return ""
}

// within reports whether one insertion, deletion, replacement or swap of neighbours makes b of a.
func within(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(b) && a[i] == b[i] {
		i++
	}
	switch len(a) - len(b) {
	case 0:
		return i < len(a) && (a[i+1:] == b[i+1:] ||
			i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:])
	case 1:
		return a[i+1:] == b[i:]
	}
	return false
}

// plainJSON words the JSON package's errors.
func plainJSON(err error) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		return fmt.Errorf("it is a JSON %s: an example is an object", kind.Value)
	case errors.As(err, &syntax):
		return fmt.Errorf("it is no JSON at byte %d: %w", syntax.Offset, err)
	}
	return fmt.Errorf("it is no JSON: %w", err)
}
