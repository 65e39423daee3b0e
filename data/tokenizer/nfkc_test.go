package tokenizer

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestNFKC(t *testing.T) {
	var cases [][2]string
	if err := json.Unmarshal([]byte(readFile(t, "testdata/nfkc.json")), &cases); err != nil {
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
