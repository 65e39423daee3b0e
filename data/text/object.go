package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// object is a line's fields, in order. The raw values lie in the line.
type object []field

type field struct {
	name string
	raw  []byte
	nan  bool // NaN or an infinity, which Python writes and JSON does not know
}

// notANumber stands in the line where NaN or an infinity was.
const notANumber = "[]"

// parseObject finds the fields of a line. Nothing of the line is copied, whatever its
// length; bare NaN and infinities in it are overwritten.
func parseObject(line []byte) (object, error) {
	if !utf8.Valid(line) {
		return nil, errors.New("not UTF-8 text")
	}
	nan := false
	if !json.Valid(line) {
		if nan = hideNaN(line); !nan || !json.Valid(line) {
			err := json.Unmarshal(line, &struct{}{})
			return nil, fmt.Errorf("not a JSON object: %v", err)
		}
	}
	line = bytes.TrimSpace(line)
	if line[0] != '{' {
		what := map[byte]string{'[': "an array", '"': "a string", 'n': "null", 't': "true", 'f': "false"}[line[0]]
		if what == "" {
			what = "a number"
		}
		return nil, fmt.Errorf("not a JSON object: %s", what)
	}
	var fields object
	rest := line[1:]
	for {
		rest = bytes.TrimLeft(rest, " \t\r\n,")
		if rest[0] == '}' {
			return fields, nil
		}
		n := valueEnd(rest)
		name, err := Unquote(rest[:n])
		if err != nil {
			return nil, fmt.Errorf("a field's name: %w", err)
		}
		rest = bytes.TrimLeft(rest[n:], " \t\r\n:")
		n = valueEnd(rest)
		raw := rest[:n]
		fields = append(fields, field{name, raw, nan && string(raw) == notANumber})
		rest = rest[n:]
	}
}

// valueEnd is the length of the value that valid JSON begins with.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += stringEnd(b[i:]) - 1
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // of what the value, a number or a word, lies in
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// stringEnd is the length of the string that b begins with.
func stringEnd(b []byte) int {
	for i := 1; ; {
		at := bytes.IndexByte(b[i:], '"')
		if at < 0 {
			return len(b)
		}
		i += at + 1
		escapes := len(b[:i-1]) - len(bytes.TrimRight(b[:i-1], "\\"))
		if escapes%2 == 0 {
			return i
		}
	}
}

// hideNaN overwrites NaN and infinities outside strings, and says whether there were any.
func hideNaN(line []byte) bool {
	found := false
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '"':
			i += stringEnd(line[i:]) - 1
		case 'N', 'I', '-':
			for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
				if bytes.HasPrefix(line[i:], []byte(word)) {
					copy(line[i:], notANumber+strings.Repeat(" ", len(word)-len(notANumber)))
					i += len(word) - 1
					found = true
					break
				}
			}
		}
	}
	return found
}

// names are the fields' names, in order.
func (o object) names() []string {
	var names []string
	for _, f := range o {
		names = append(names, f.name)
	}
	return names
}

// get finds a field. One that is null is not found; one that is there twice is an error.
func (o object) get(name string) (f field, found bool, err error) {
	for i := range o {
		if o[i].name != name {
			continue
		}
		if found {
			return f, false, fmt.Errorf("field %q is there twice", name)
		}
		f, found = o[i], true
	}
	return f, found && string(f.raw) != "null", nil
}

// text is a field's text.
func (o object) text(name string) (s string, found bool, err error) {
	f, found, err := o.get(name)
	if err != nil || !found {
		return "", false, err
	}
	if f.nan {
		return "", false, fmt.Errorf("field %q: cannot unmarshal number into Go value of type string", name)
	}
	if f.raw[0] != '"' {
		err := json.Unmarshal(f.raw, new(string))
		return "", false, fmt.Errorf("field %q: %s", name, strings.TrimPrefix(err.Error(), "json: "))
	}
	if s, err = Unquote(f.raw); err != nil {
		err = fmt.Errorf("field %q: %w", name, err)
	}
	return s, err == nil, err
}

// number is a field's number, NaN also where an infinity was.
func (o object) number(name string) (v float64, found bool, err error) {
	f, found, err := o.get(name)
	if err != nil || !found {
		return 0, false, err
	}
	if f.nan {
		return math.NaN(), true, nil
	}
	if err = json.Unmarshal(f.raw, &v); err != nil {
		err = fmt.Errorf("field %q: %s", name, strings.TrimPrefix(err.Error(), "json: "))
	}
	return v, err == nil, err
}

// HalfPair is half of a surrogate pair, which is an error where a text is read.
type HalfPair rune

func (h HalfPair) Error() string {
	return fmt.Sprintf(`half of a surrogate pair, \u%04x, which is no text`, rune(h))
}

// Unquote is the text of a string of valid JSON. Unlike encoding/json it refuses half of a
// surrogate pair (HalfPair), instead of which U+FFFD would stand in the text.
func Unquote(raw []byte) (string, error) {
	raw = raw[1 : len(raw)-1]
	at := bytes.IndexByte(raw, '\\')
	if at < 0 {
		return string(raw), nil
	}
	var b strings.Builder
	b.Grow(len(raw)) // an escape is longer than what it stands for
	for at >= 0 {
		b.Write(raw[:at])
		kind := raw[at+1]
		raw = raw[at+2:]
		switch kind {
		case 'u':
			r := hex4(raw)
			raw = raw[4:]
			if utf16.IsSurrogate(r) {
				if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' ||
					utf16.DecodeRune(r, hex4(raw[2:])) == utf8.RuneError {
					return "", HalfPair(r)
				}
				r = utf16.DecodeRune(r, hex4(raw[2:]))
				raw = raw[6:]
			}
			b.WriteRune(r)
		default:
			if i := strings.IndexByte("bfnrt", kind); i >= 0 {
				kind = "\b\f\n\r\t"[i]
			}
			b.WriteByte(kind)
		}
		at = bytes.IndexByte(raw, '\\')
	}
	b.Write(raw)
	return b.String(), nil
}

// hex4 reads the four hexadecimal digits of an escape.
func hex4(b []byte) rune {
	n, _ := strconv.ParseUint(string(b[:4]), 16, 32)
	return rune(n)
}
