package text

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// A line's fields are those that encoding/json finds, wherever that takes the line and no
// surrogate stands alone.
func FuzzObject(f *testing.F) {
	for _, line := range []string{`{"text":"a"}`,
		` { "a\n\"" : [1, {"b":"]}"}, "x\\"] ,"text":"q\\\"\u00e9\ud83d\ude00\/\b"} `,
		`{}`, `{"text":-1.5e3,"b":true ,"c":null}`, `["text"]`, `{"text":"\ud83d b"}`,
		`{"a":NaN,"text":"b"}`, `null`, ``,
		`{"text":1,"text":2}`, `{"text":{}}`, `{"text":"a",}`} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var want map[string]json.RawMessage
		wanted := json.Unmarshal(line, &want)
		fields, err := parseObject(slices.Clone(line))
		if wanted != nil || want == nil {
			if err == nil && !strings.Contains(string(line), "NaN") && !strings.Contains(string(line), "Infinity") {
				t.Fatalf("%q: fields %v, json says %v", line, fields, wanted)
			}
			return
		}
		if err != nil {
			if s := err.Error(); !strings.Contains(s, "UTF-8") && !strings.Contains(s, "surrogate") {
				t.Fatalf("%q: error %v", line, err)
			}
			return
		}
		names := map[string]int{}
		for _, f := range fields {
			names[f.name]++
		}
		if len(names) != len(want) {
			t.Fatalf("%q: %v, want %v", line, fields.names(), want)
		}
		for name, n := range names {
			if n > 1 {
				if _, _, err := fields.get(name); err == nil {
					t.Fatalf("%q: %q twice without an error", line, name)
				}
				continue
			}
			f, _, _ := fields.get(name)
			if string(f.raw) != string(want[name]) {
				t.Fatalf("%q: %q is %q, want %q", line, name, f.raw, want[name])
			}
			var s *string
			failed := json.Unmarshal(want[name], &s)
			got, found, err := fields.text(name)
			if err != nil && strings.Contains(err.Error(), "surrogate") {
				continue
			}
			if (err == nil) != (failed == nil) || found != (failed == nil && s != nil) || found && got != *s {
				t.Fatalf("%q: text %q, %v, error %v; json has %v, error %v", line, got, found, err, s, failed)
			}
		}
	})
}

// NaN and infinities are numbers that are too low, or no text; inside a text they are text.
func TestObjectTakesNaN(t *testing.T) {
	fields, err := parseObject([]byte(`{"a":NaN,"b":[-Infinity,"NaN"],"c":Infinity,"d":"NaN -Infinity","e":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "c"} {
		if v, found, err := fields.number(name); !math.IsNaN(v) || !found || err != nil {
			t.Errorf("%s: %v, %v, error %v", name, v, found, err)
		}
		if _, _, err := fields.text(name); err == nil {
			t.Errorf("%s is text", name)
		}
	}
	if s, _, err := fields.text("d"); s != "NaN -Infinity" || err != nil {
		t.Errorf("%q, error %v", s, err)
	}
	for _, line := range []string{`{"a":NaN`, `{"a":Nan}`, `{"a":-NaN}`, `NaN`, `{NaN:1}`} {
		if fields, err := parseObject([]byte(line)); err == nil {
			t.Errorf("%q: %v", line, fields)
		}
	}
}

// Half of a surrogate pair is refused wherever it stands; a pair is a character.
func TestObjectRefusesLoneSurrogates(t *testing.T) {
	for _, escapes := range []string{`\ud83d`, `\ude00`, `\ud83dx`, `\ud83d\n`, `\ud83d\u0041`, `\ud83d\ud83d\ude00`,
		`\uDE00\uD83D`, `\ud83d\`} {
		line := fmt.Sprintf(`{"text":"a%s"}`, escapes)
		fields, err := parseObject([]byte(line))
		if err == nil {
			_, _, err = fields.text("text")
		}
		if err == nil {
			t.Errorf("%s is taken", line)
		}
	}
	fields, err := parseObject([]byte(`{"text":"\ud83d\ude00\uFFFD"}`))
	if err != nil {
		t.Fatal(err)
	}
	if s, _, err := fields.text("text"); s != "😀\uFFFD" || err != nil {
		t.Errorf("%q, error %v", s, err)
	}
}
