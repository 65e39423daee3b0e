// Package part reads the parts of a tokenizer.json: objects that say by "type" what they are.
//
// It exists so that every part is read alike: strictly, since a field that is not known could change what ids mean.
package part

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// IsNull reports whether a field is null or absent.
func IsNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// Type is the "type" of a part.
func Type(raw json.RawMessage) (string, error) {
	var t struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &t); err != nil {
		return "", fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return t.Type, nil
}

// Decode is strict JSON decoding: an unknown field is an error.
func Decode(content []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("JSON ends too early: the file is truncated")
		}
		return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("more data after the end of the JSON value")
	}
	return nil
}

// Kinds are the parts of one sort, such as normalizers, by the name of their type. A maker gets the object and returns
// the part, or several for a Sequence.
type Kinds[P any] map[string]func(raw json.RawMessage) ([]P, error)

// Read returns the parts that raw says, none if it is null. A type that is not there is an error that names it and
// those that are.
func (k Kinds[P]) Read(raw json.RawMessage) ([]P, error) {
	if IsNull(raw) {
		return nil, nil
	}
	kind, err := Type(raw)
	if err != nil {
		return nil, err
	}
	make, ok := k[kind]
	if !ok {
		known := slices.Sorted(maps.Keys(k))
		return nil, fmt.Errorf("type %s is not supported, only %s are", kind, strings.Join(known, ", "))
	}
	parts, err := make(raw)
	if err != nil && kind != "Sequence" {
		err = fmt.Errorf("%s: %w", kind, err)
	}
	return parts, err
}

// One is a maker of a part that is read into a struct P points to; check says what of its fields is not supported, and
// completes it.
func One[P any, T any, PT interface {
	*T
	Part() P
	Check() error
}](raw json.RawMessage) ([]P, error) {
	p := PT(new(T))
	if err := Decode(raw, p); err != nil {
		return nil, err
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	return []P{p.Part()}, nil
}

// Sequence is a maker of all parts of a list, which stands in a field of the given name.
func Sequence[P any](field string, kinds func() Kinds[P]) func(json.RawMessage) ([]P, error) {
	return func(raw json.RawMessage) ([]P, error) {
		var fields map[string]json.RawMessage
		if err := Decode(raw, &fields); err != nil {
			return nil, err
		}
		for name := range fields {
			if name != "type" && name != field {
				return nil, fmt.Errorf("Sequence: unknown field %q", name)
			}
		}
		var list []json.RawMessage
		if err := Decode(fields[field], &list); err != nil {
			return nil, fmt.Errorf("Sequence: %s: %w", field, err)
		}
		var all []P
		for _, one := range list {
			parts, err := kinds().Read(one)
			if err != nil {
				return nil, err
			}
			all = append(all, parts...)
		}
		return all, nil
	}
}

// JSON writes a value as a tokenizer.json has it, without escapes for HTML.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// SequenceJSON writes null for no part, the one, or a Sequence of several, whose list stands in a field of the given
// name: what Kinds.Read reads. The name sorts before "type".
func SequenceJSON[P any](field string, parts []P) ([]byte, error) {
	switch len(parts) {
	case 0:
		return []byte("null"), nil
	case 1:
		return JSON(parts[0])
	}
	return JSON(map[string]any{field: parts, "type": "Sequence"})
}
