package normalize

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"steplm/data/tokenizer/internal/runes"
)

func readFile(t testing.TB) string {
	t.Helper()
	content, err := os.ReadFile("testdata/nfkc.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestNFKC(t *testing.T) {
	var cases [][2]string
	if err := json.Unmarshal([]byte(readFile(t)), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 700 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, c := range cases {
		if got := nfkc(c[0]); got != c[1] {
			t.Errorf("nfkc(%+q) = %+q, want %+q", c[0], got, c[1])
		}
	}
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		once := nfkc(string(r))
		if again := nfkc(once); again != once {
			t.Errorf("nfkc is not stable on %U: %+q, then %+q", r, once, again)
		}
		if narrow := nfc(string(r)); nfkc(narrow) != once {
			t.Errorf("nfkc of %U is %+q, after nfc %+q", r, once, nfkc(narrow))
		}
	}
}

func TestNFC(t *testing.T) {
	for in, want := range map[string]string{
		"plain é":                          "plain é",
		"e\u0301":                          "é",
		"\u2126\u212b":                     "Ω\u00c5",
		"a\u0307\u0323":                    "\u1ea1\u0307",
		"\u1112\u1161\u11ab":               "한",
		"\uac00\u11a8":                     "각",
		"\uac01\u11a8":                     "각\u11a8",
		"\u0958":                           "\u0915\u093c", // excluded from composition
		"\u0344":                           "\u0308\u0301",
		"\u0301e":                          "\u0301e",
		"a\u0301\u0301":                    "á\u0301",
		"a" + strings.Repeat("\u0316", 40): "a" + strings.Repeat("\u0316", 40), // no stream-safe limit
		"a" + strings.Repeat("\u0316", 40) + "\u0301": "á" + strings.Repeat("\u0316", 40),
	} {
		if got := nfc(in); got != want {
			t.Errorf("nfc(%+q) = %+q, want %+q", in, got, want)
		}
	}
	// Every composed form comes back from its parts, and nothing changes twice.
	for _, entry := range decompositions {
		once := nfc(string(entry[0]))
		if nfc(once) != once || !utf8.ValidString(once) {
			t.Errorf("nfc is not stable on %U", entry[0])
		}
		parts := string(entry[1])
		if entry[2] != 0 {
			parts += string(entry[2])
		}
		if nfc(parts) != once {
			t.Errorf("nfc of %U is %+q, of its parts %+q", entry[0], once, nfc(parts))
		}
	}
}

// Normalizing twice is normalizing once, and KC is the same after C.
func FuzzNormalization(f *testing.F) {
	var cases [][2]string
	if err := json.Unmarshal([]byte(readFile(f)), &cases); err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		f.Add(c[0])
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = runes.ReplaceInvalid(text)
		c, kc := nfc(text), nfkc(text)
		if nfc(c) != c || nfkc(kc) != kc || nfkc(c) != kc || nfc(kc) != kc {
			t.Fatalf("%+q: C %+q, KC %+q", text, c, kc)
		}
	})
}
