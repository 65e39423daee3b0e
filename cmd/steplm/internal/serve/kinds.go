package serve

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// article is what JSON calls a value, for people.
func article(value string) string {
	if value == "array" || value == "object" {
		return "an " + value
	}
	return "a " + value
}

// kindName is what a field must be, for people.
func kindName(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Float64:
		return "a number"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "a whole number"
}

// prompts are those of a completion: a string, a list of strings, a list of ids, or a list of such lists.
type prompts struct {
	texts []string
	ids   [][]uint32
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *prompts) UnmarshalJSON(text []byte) error {
	*p = prompts{}
	var one string
	if json.Unmarshal(text, &one) == nil {
		if string(text) != "null" {
			p.texts = []string{one}
		}
		return nil
	}
	var ids []uint32
	if json.Unmarshal(text, &ids) == nil && len(ids) > 0 {
		p.ids = [][]uint32{ids}
		return nil
	}
	var texts []*string
	if json.Unmarshal(text, &texts) == nil && len(texts) > 0 && !slices.Contains(texts, nil) {
		for _, t := range texts {
			p.texts = append(p.texts, *t)
		}
		return nil
	}
	if json.Unmarshal(text, &p.ids) == nil && len(p.ids) > 0 {
		return nil
	}
	return wrong("prompt", "prompt must be a string, a list of strings, a list of token ids or a list of such lists, "+
		"none of them empty")
}

// stops are strings at which a text ends: one, or a list.
type stops []string

// UnmarshalJSON implements json.Unmarshaler.
func (s *stops) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*s = nil
		if one != "" {
			*s = stops{one}
		}
		return nil
	}
	if json.Unmarshal(text, (*[]string)(s)) != nil {
		return wrong("stop", "stop must be a string or a list of strings")
	}
	return nil
}

// content is what a message says: a string, or a list of parts that are text.
type content string

// UnmarshalJSON implements json.Unmarshaler.
func (c *content) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, (*string)(c)) == nil { // null, as of an assistant that called a tool, is no text
		return nil
	}
	var parts []struct {
		Type string  `json:"type"`
		Text *string `json:"text"`
	}
	if json.Unmarshal(text, &parts) != nil {
		return wrong("messages", "a message's content must be a string or a list of parts")
	}
	var all strings.Builder
	for _, p := range parts {
		if p.Type != "text" || p.Text == nil {
			return wrong("messages", "a message has a part of the type %q: only text is understood", p.Type)
		}
		all.WriteString(*p.Text)
	}
	*c = content(all.String())
	return nil
}

// ignored is a field of OpenAI's that changes no answer here.
type ignored struct{}

// UnmarshalJSON implements json.Unmarshaler.
func (ignored) UnmarshalJSON([]byte) error { return nil }

// neutral reports whether a field of what is not done here says that it need not be.
func neutral(raw json.RawMessage, values ...string) bool {
	var compact bytes.Buffer
	if len(raw) == 0 || json.Compact(&compact, raw) != nil {
		return len(raw) == 0
	}
	for _, v := range append(values, "null") {
		if compact.String() == v {
			return true
		}
	}
	return false
}
