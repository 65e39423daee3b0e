package pattern

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// texts are hard strings, and random ones made of what patterns tell apart.
func texts(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, name := range []string{"cases.json", "families.json"} {
		content, err := os.ReadFile("../../testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Texts []string }
		if err := json.Unmarshal(content, &file); err != nil {
			t.Fatal(err)
		}
		all = append(all, file.Texts...)
	}
	bits := []string{"a", "B", "'", "'s", "'LL", "'ſ", "1", "23", "Ⅷ", " ", "  ", "\n", "\r\n", "\t", "é", "中", "!",
		"_", "🙂", "\u0301"}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var b strings.Builder
		for range rng.IntN(12) {
			b.WriteString(bits[rng.IntN(len(bits))])
		}
		all = append(all, b.String())
	}
	return all
}

// A scanner cuts as its expression does, and its words leave nothing out.
func TestScannersDoWhatTheirExpressionsDo(t *testing.T) {
	for _, s := range Scanners {
		e, err := compile(s.Regex)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range texts(t) {
			if !utf8.ValidString(text) {
				continue
			}
			want, err := e.find(text)
			if err != nil {
				t.Fatal(err)
			}
			var got []Span
			for i := 0; i < len(text); {
				end := s.Next(text, i)
				got = append(got, Span{i, end, true})
				i = end
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q is cut at %v, want %v", s.Name, text, got, want)
			}
		}
	}
}

// No scanner stops, or goes beyond the end, on bytes that are no text.
func TestScannersCoverAnyBytes(t *testing.T) {
	for _, s := range Scanners {
		for _, text := range []string{"\xff", "'\xc5", "a\xe2\x82", " \xf0\x9f"} {
			for i := 0; i < len(text); {
				end := s.Next(text, i)
				if end <= i || end > len(text) {
					t.Fatalf("%s: the piece of %q at %d ends at %d", s.Name, text, i, end)
				}
				i = end
			}
		}
	}
}

// What expressions mean to Oniguruma, where that differs from other engines.
func TestExpressions(t *testing.T) {
	for _, c := range []struct{ regex, text, want string }{
		{`a++b|a`, "aab a", "aab,a"},
		{`\p{N}{1,3}`, "1234Ⅷ", "123,4Ⅷ"},
		{`(?i:'s|k)`, "'S'ſKK", "'S,'ſ,K,K"}, // U+212A
		{`[^\S\n]+`, "a \t\nb", " \t"},
		{`[\p{L}&&[^\p{Lu}]]+`, "aBcD", "a,c"},
		{`[a-c[x-z]]+`, "axdz", "ax,z"},
		{`\s+(?!\S)|\s+`, "a  b ", " , , "},
		{`^a`, "a\na\nb", "a,a"},
		{`a$`, "ba\na", "a,a"},
		{`\s$`, "a \n", " ,\n"},
		{`a.b`, "a\nb acb", "acb"},
		{`(?m:a.b)`, "a\nb", "a\nb"},
		{`a{2}?`, "aaa", "aa,"},
		{`a{1,2}+`, "aaaaab", "aaaaa"},
		{`\x41\x{42}\u0043`, "ABC", "ABC"},
		{`\h+`, "xfA9z", "fA9"},
		{`a(?i)b|c`, "aB aC ac", "aB,aC,ac"},
		{`(?<=a)b(?<!c)`, "abcb", "b"},
		{`\bcat\b`, "cat scat cat", "cat,cat"},
		{`\p{Han}+`, "a中文b", "中文"},
		{`\p{^L}+\P{L}?`, "ab12", "12"},
		{`[]a]`, "", "refused"},
		{`[[:alpha:]]`, "", "refused"},
		{`(a)\1`, "", "refused"},
		{`\X`, "", "refused"},
		{`\p{Nonsense}`, "", "refused"},
		{`(?i:ss)`, "", "refused"}, // ß
		{`(?i:é)`, "", "refused"},
		{`(?<name>a)`, "", "refused"},
		{`a**`, "", "refused"},
		{`*a`, "", "refused"},
		{`a)`, "", "refused"},
		{`(a`, "", "refused"},
		{`[a`, "", "refused"},
		{`a{9999}`, "", "refused"},
	} {
		p := Pattern{Regex: c.regex}
		if err := p.Compile(); err != nil {
			if c.want != "refused" || !strings.Contains(err.Error(), "supported") {
				t.Errorf("%s: %v", c.regex, err)
			}
			continue
		}
		spans, err := p.Spans(nil, c.text)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, s := range spans {
			if s.Match {
				found = append(found, c.text[s.Start:s.End])
			}
		}
		if got := strings.Join(found, ","); got != c.want {
			t.Errorf("%s finds %q in %q, want %q", c.regex, got, c.text, c.want)
		}
	}
}

// An expression that backtracks without end is stopped.
func TestTimeLimit(t *testing.T) {
	e, err := compile(`(?:a|ab?a)+\z`)
	if err != nil {
		t.Fatal(err)
	}
	e.re.MatchTimeout = 50 * time.Millisecond
	start := time.Now()
	_, err = e.find(strings.Repeat("a", 200) + "c")
	if err == nil || !strings.Contains(err.Error(), `"(?:a|ab?a)+\\z" stopped on a text of 201 bytes`) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func FuzzExpressions(f *testing.F) {
	for _, s := range Scanners {
		f.Add(s.Regex, "a b's 12 é\n")
	}
	f.Add(`[a-z&&[^b]]+|(?i:x)`, "abX")
	f.Fuzz(func(t *testing.T, regex, text string) {
		p := Pattern{Regex: regex}
		if regex == "" || len(regex) > 200 || p.Compile() != nil || !utf8.ValidString(text) {
			return
		}
		p.compiled.re.MatchTimeout = 100 * time.Millisecond
		spans, err := p.Spans(nil, text)
		if err != nil {
			return
		}
		at := 0
		for _, s := range spans {
			if s.Start != at || s.End < at || s.End > len(text) {
				t.Fatalf("%q in %q: spans %v", regex, text, spans)
			}
			at = s.End
		}
		if at != len(text) {
			t.Fatalf("%q in %q: spans %v end at %d", regex, text, spans, at)
		}
	})
}

func BenchmarkScannerAndExpression(b *testing.B) {
	content, err := os.ReadFile("../../testdata/corpus.txt")
	if err != nil {
		b.Fatal(err)
	}
	text := string(content)
	b.Run("scanner", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			for i := 0; i < len(text); {
				i = Scanners[1].Next(text, i)
			}
		}
	})
	b.Run("expression", func(b *testing.B) {
		e, err := compile(Scanners[1].Regex)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := e.find(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
