package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// field is one of an object.
type field struct {
	name  string
	value json.RawMessage
}

// object is a JSON object whose fields have an order.
type object []field

// parseObject reads one.
func parseObject(text []byte) (o object, err error) {
	if err := json.Unmarshal(text, &map[string]json.RawMessage{}); err != nil {
		return nil, fmt.Errorf("it is no JSON object: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		o = append(o, field{name.(string), v})
	}
	return o, nil
}

// find is a field's value, nil if it is not there.
func (o object) find(name string) json.RawMessage {
	for _, f := range o {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

func (o object) names() (list []string) {
	for _, f := range o {
		list = append(list, f.name)
	}
	return list
}

// with is the object with a field more.
func (o object) with(name string, value any) object {
	text, err := marshal(value)
	if err != nil { // texts, finite numbers and lists of them have JSON
		panic(err)
	}
	return append(o[:len(o):len(o)], field{name, text})
}

// marshal is json.Marshal, which leaves <, > and & as they are.
func marshal(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// MarshalJSON keeps the order.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, f := range o {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := marshal(f.name)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), f.value...)
	}
	return append(b, '}'), nil
}

// python is a JSON value as Python's json.dumps writes it with indent=2 and ensure_ascii=False: samples have its hash.
func python(value json.RawMessage) (string, error) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var b strings.Builder
	err := writePython(&b, d, "\n")
	return b.String(), err
}

// writePython writes the next value; line begins a line as deep as the value stands.
func writePython(b *strings.Builder, d *json.Decoder, line string) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Delim:
		b.WriteString(t.String())
		deeper := line + "  "
		some := false
		for ; d.More(); some = true {
			if some {
				b.WriteByte(',')
			}
			b.WriteString(deeper)
			if t == '{' {
				name, err := d.Token()
				if err != nil {
					return err
				}
				b.WriteString(quoted(name.(string)) + ": ")
			}
			if err := writePython(b, d, deeper); err != nil {
				return err
			}
		}
		end, err := d.Token()
		if err != nil {
			return err
		}
		if some {
			b.WriteString(line)
		}
		b.WriteString(end.(json.Delim).String())
	case string:
		b.WriteString(quoted(t))
	case nil:
		b.WriteString("null")
	default:
		fmt.Fprint(b, t)
	}
	return nil
}

// quoted is a text as Python's json.dumps has it, letters outside ASCII as they are.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		default:
			if c < ' ' {
				fmt.Fprintf(&b, `\u%04x`, c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	b.WriteByte('"')
	return b.String()
}
