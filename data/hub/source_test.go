package hub

import (
	"strings"
	"testing"
)

func TestParseSource(t *testing.T) {
	good := map[string]Source{
		"hf://datasets/HuggingFaceFW/fineweb-edu/sample/10BT": {"HuggingFaceFW", "fineweb-edu", "sample/10BT", "main"},
		"hf://datasets/o/n":                   {"o", "n", "", "main"},
		"hf://datasets/o/n/":                  {"o", "n", "", "main"},
		"hf://datasets/o/n@v1.0":              {"o", "n", "", "v1.0"},
		"hf://datasets/o/n/p/q@v1":            {"o", "n", "p/q", "v1"},
		"hf://datasets/o/n@refs%2Fpr%2F1/p/q": {"o", "n", "p/q", "refs/pr/1"},
		"hf://datasets/o/n/p/q@refs%2Fpr%2F1": {"o", "n", "p/q", "refs/pr/1"},
		"hf://datasets/o/n/p/q@refs/pr/1":     {"o", "n", "p/q", "refs/pr/1"},
		"hf://datasets/o/n/a b.parquet@main":  {"o", "n", "a b.parquet", "main"},
	}
	for s, want := range good {
		got, err := ParseSource(s)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", s, got, err, want)
		}
		if again, err := ParseSource(got.String()); err != nil || again != got {
			t.Errorf("%s: its string %s is %+v, %v", s, got, again, err)
		}
	}
	for _, s := range []string{
		"", "data", "hf://", "hf://models/o/n", "hf://datasets/o", "hf://datasets//n", "hf://datasets/../n",
		"hf://datasets/o/..",
		"hf://datasets/o/n/../../x", "hf://datasets/o/n//x", "hf://datasets/o/n@", "hf://datasets/o/n@..%2F..%2Fx/p",
		"hf://datasets/o/n/p@../../x", "hf://datasets/o/n@%zz/p", "hf://datasets/o/n/p@%zz",
		"hf://datasets/o--p/n", `hf://datasets/o/n/a\..\b`,
	} {
		if got, err := ParseSource(s); err == nil || !strings.Contains(err.Error(), "hf://datasets/OWNER/NAME") {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
}
