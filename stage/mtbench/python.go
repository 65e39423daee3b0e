package mtbench

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// pythonJSON is a value as Python's json.dumps writes it by default: a blank after each comma and colon, and nothing
// but ASCII.
func pythonJSON(v any) ([]byte, error) {
	var compact bytes.Buffer
	e := json.NewEncoder(&compact)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(compact.Bytes(), []byte("\n"))
	out := make([]byte, 0, len(text)+len(text)/8)
	within := false
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == '\\' && within: // and what it stands before
			out = append(out, text[i:i+2]...)
			i += 2
			continue
		case r >= 0x10000:
			r -= 0x10000
			out = appendEscape(appendEscape(out, 0xD800+r>>10), 0xDC00+r&0x3FF)
		case r >= utf8.RuneSelf || r == 0x7F: // of ASCII Python escapes DEL too
			out = appendEscape(out, r)
		default:
			if r == '"' {
				within = !within
			}
			if out = append(out, byte(r)); !within && (r == ',' || r == ':') {
				out = append(out, ' ')
			}
		}
		i += size
	}
	return out, nil
}

func appendEscape(out []byte, r rune) []byte {
	hex := strconv.FormatInt(int64(r), 16)
	return append(out, (`\u` + strings.Repeat("0", 4-len(hex)) + hex)...)
}

// pythonFloat is a finite number as Python's repr has it.
func pythonFloat(x float64) string {
	if size := math.Abs(x); size >= 1e16 || size < 1e-4 && size > 0 {
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	text := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// Seconds is a time as FastChat has it: seconds since 1970.
type Seconds float64

// MarshalJSON writes it as Python does.
func (s Seconds) MarshalJSON() ([]byte, error) { return []byte(pythonFloat(float64(s))), nil }
