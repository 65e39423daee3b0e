package runes

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

// The table agrees with Go's own on every rune that Go's version of Unicode has assigned; what it has
// beyond is unassigned there.
func TestClassesAgreeWithGo(t *testing.T) {
	if unicode.Version != "15.0.0" {
		t.Skipf("this comparison is for Unicode 15.0.0, Go has %s", unicode.Version)
	}
	added := 0
	for r := range rune(unicode.MaxRune + 1) {
		want := Other
		switch {
		case unicode.IsLetter(r):
			want = Letter
		case unicode.IsNumber(r):
			want = Number
		case unicode.IsSpace(r):
			want = White
		}
		if got := ClassOf(r); got == want {
			continue
		} else if assigned := unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.M, unicode.P,
			unicode.S, unicode.Z); assigned || want != Other || got == White {
			t.Errorf("%U has class %d, want %d", r, got, want)
		}
		added++
	}
	if added != 5004 { // letters and numbers of Unicode 15.1 and 16.0
		t.Errorf("%d runes beyond Unicode 15.0, want 5004", added)
	}
}

func TestByteAlphabet(t *testing.T) {
	seen := map[rune]bool{}
	for b, r := range ByteRune {
		if seen[r] || int(RuneByte[r]) != b {
			t.Errorf("byte 0x%02X is %q, which is byte %d", b, r, RuneByte[r])
		}
		seen[r] = true
	}
	for text, want := range map[string]string{"Ġthe": " the", "Ċ": "\n", "Ã©": "é", "!": "!", "Ń": "\u00ad"[1:]} {
		if got, ok := TokenBytes(text); !ok || got != want {
			t.Errorf("TokenBytes(%q) = %q, %v, want %q", text, got, ok, want)
		}
	}
	if got, ok := TokenBytes("a b"); ok || got != "a b" {
		t.Errorf("TokenBytes of text outside the alphabet: %q, %v", got, ok)
	}
}

func TestReplaceInvalid(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                  "plain",
		"\xff":                   "\ufffd",
		"\xff\xfe":               "\ufffd\ufffd",
		"a\xe2\x82":              "a\ufffd",
		"a\xe2\x82b":             "a\ufffdb",
		"\xf0\x9f\x98":           "\ufffd",
		"\xf0\x80\x80":           "\ufffd\ufffd\ufffd",
		"\xed\xa0\x80":           "\ufffd\ufffd\ufffd",
		"\xe0\x80\x80":           "\ufffd\ufffd\ufffd",
		"\xf4\x90\x80\x80":       "\ufffd\ufffd\ufffd\ufffd",
		"\xf4\x8f\xbf":           "\ufffd",
		"\xc0\xaf":               "\ufffd\ufffd",
		"\u00e9\xc3\u00e9\ufffd": "\u00e9\ufffd\u00e9\ufffd",
	} {
		got := ReplaceInvalid(in)
		if got != want || !utf8.ValidString(got) {
			t.Errorf("ReplaceInvalid(%q) = %q, want %q", in, got, want)
		}
	}
}
