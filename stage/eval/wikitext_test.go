package eval

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
)

// golden is what lm-evaluation-harness makes of made-up pages; see
// testdata/lm_eval_golden.py, which wrote it.
type golden struct {
	Pages []struct {
		In    string `json:"in"`
		Out   string `json:"out"`
		Words int    `json:"words"`
	} `json:"pages"`
	Windows []struct {
		Length  int `json:"length"`
		Context int `json:"context"`
		Windows []struct {
			Inputs    []uint32 `json:"inputs"`
			Predicted []uint32 `json:"predicted"`
		} `json:"windows"`
	} `json:"windows"`
	WikiText struct {
		Source      string `json:"source_sha256"`
		Pages       int    `json:"pages"`
		Words       int    `json:"words"`
		Bytes       int    `json:"bytes"`
		Detokenized string `json:"detokenized_sha256"`
	} `json:"wikitext"`
}

func loadGolden(t *testing.T) golden {
	t.Helper()
	b, err := os.ReadFile("testdata/lm_eval_golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Pages) < 400 || len(g.Windows) < 40 {
		t.Fatalf("the golden file has %d pages and %d window cases; it is cut short", len(g.Pages), len(g.Windows))
	}
	return g
}

func TestDetokenizeGolden(t *testing.T) {
	for _, c := range loadGolden(t).Pages {
		if got := Detokenize(c.In); got != c.Out {
			t.Errorf("page %q\n got %q\nwant %q", c.In, got, c.Out)
		}
		if got := CountWords(c.In); got != c.Words {
			t.Errorf("page %q has %d words, want %d", c.In, got, c.Words)
		}
	}
}

// One case by hand for every replacement, in their order.
func TestDetokenizeByHand(t *testing.T) {
	cases := []struct{ in, want string }{
		{"the boys ' dog", "the boys' dog"},
		{"/' 7/", "/'[0-9]/"},
		{"/' 77/", "/' 77/"},
		{"well @-@ known", "well-known"},
		{"1 @,@ 000", "1,000"},
		{"3 @.@ 5", "3.5"},
		{"one : two", "one: two"},
		{"one ; two", "one; two"},
		{"one . Two", "one. Two"},
		{"one ! Two", "one! Two"},
		{"one ? Two", "one? Two"},
		{"one , two", "one, two"},
		{"( one\ttwo )", "(one\ttwo)"},
		{"( \u00a0 no-break )", "(no-break)"},
		{"( a ( b ) c )", "(a ( b) c )"},
		{"[ one ]", "[one]"},
		{"{ one }", "{one}"},
		{`say " one " or " two`, `say "one" or " two`},
		{"say ' one ' or ' two", "say 'one' or ' two"},
		{"= = = = Deep = = = =", "==== Deep ===="},
		{"= = = Three = = =", "=== Three ==="},
		{"= = Two = =", "== Two =="},
		{"20 \u00b0 C", "20\u00b0C"},
		{"end \nstart", "end\nstart"},
		{"end\n start", "end\nstart"},
		{"No N here", "No 1 here"},
		{"the dog 's bone", "the dog's bone"},
		{"", ""},
	}
	for _, c := range cases {
		if got := Detokenize(c.in); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

func TestCountWords(t *testing.T) {
	for text, want := range map[string]int{
		"": 1, "one": 1, "one two": 2, "one \n\n two": 2,
		" one": 2, "one ": 2, " ": 2, // empty pieces at the ends count
		"one\u00a0two\u3000three": 3, "one\u200btwo": 1, "one\x1ctwo": 2,
	} {
		if got := CountWords(text); got != want {
			t.Errorf("%q has %d words, want %d", text, got, want)
		}
	}
}

func TestRollingGolden(t *testing.T) {
	for _, c := range loadGolden(t).Windows {
		ids := make([]uint32, c.Length)
		for i := range ids {
			ids[i] = uint32(100 + i)
		}
		n := 0
		err := Rolling(ids, 7, c.Context, func(inputs, targets []uint32, skip int) error {
			if n >= len(c.Windows) {
				t.Fatalf("length %d context %d: more than %d windows", c.Length, c.Context, len(c.Windows))
			}
			want := c.Windows[n]
			n++
			if !slices.Equal(inputs, want.Inputs) || !slices.Equal(targets[skip:], want.Predicted) {
				t.Errorf("length %d context %d window %d: inputs %v predict %v, want %v predict %v",
					c.Length, c.Context, n, inputs, targets[skip:], want.Inputs, want.Predicted)
			}
			if len(inputs) != len(targets) {
				t.Errorf("length %d context %d window %d: %d inputs, %d targets", c.Length, c.Context, n, len(inputs),
					len(targets))
			}
			return nil
		})
		if err != nil || n != len(c.Windows) {
			t.Errorf("length %d context %d: %d windows, want %d (error %v)", c.Length, c.Context, n, len(c.Windows),
				err)
		}
	}
}

const twoPages = " \n = One = \n \n First ( text ) . \n \n = = Part = = \n \n More , of it . \n \n" +
	" = Two ; = = \n \n = = = Deep = = = \n \n Second 's . \n \n"

func TestPagesByHand(t *testing.T) {
	want := []string{
		" = One = \n \n First ( text ) . \n \n = = Part = = \n \n More , of it . \n ",
		" = Two ; = = \n \n = = = Deep = = = \n \n Second 's . \n \n",
	}
	// " = Two ; = = " closes up to "= Two ; ==", which is no title, so make it one.
	text := strings.Replace(twoPages, "; = =", "; =", 1)
	want[1] = strings.Replace(want[1], "; = =", "; =", 1)

	var rows []string // as published in Parquet: a line with its break, or nothing
	for line := range strings.SplitAfterSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.TrimSpace(line) == "" {
			line = ""
		}
		rows = append(rows, line)
	}
	var bare []string // lines without breaks
	for _, row := range rows {
		bare = append(bare, strings.TrimSuffix(row, "\n"))
	}
	for name, rows := range map[string][]string{"file": {text}, "Parquet rows": rows, "bare lines": bare,
		"pages": want} {
		if got := collect(t, rows); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
	}
	if got := collect(t, []string{twoPages}); len(got) != 1 {
		t.Errorf("a heading with different signs on its sides made %d pages, want 1", len(got))
	}
	for _, rows := range [][]string{nil, {""}, {" \n", "", "\n"}} {
		if got := collect(t, rows); len(got) != 0 {
			t.Errorf("blank rows %q gave pages %q", rows, got)
		}
	}
}

func collect(t *testing.T, rows []string) []string {
	t.Helper()
	var pages []string
	for page, err := range Pages(each(rows, nil)) {
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, page)
	}
	return pages
}

// WikiText-2's test split itself: 62 pages, 241,335 words, and the very text
// that lm-evaluation-harness scores.
func TestWikiTextTestSplit(t *testing.T) {
	raw, err := os.ReadFile(datatest.Path(t, "wikitext/wiki.test.raw"))
	if err != nil {
		t.Fatal(err)
	}
	want := loadGolden(t).WikiText
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != want.Source {
		t.Fatalf("wiki.test.raw is %x, the golden file was made from %s", sum, want.Source)
	}
	pages := collect(t, []string{string(raw)})
	words, bytes, hash := 0, 0, sha256.New()
	for _, page := range pages {
		words += CountWords(page)
		bytes += len(page)
		hash.Write([]byte(Detokenize(page) + "\x00"))
	}
	if len(pages) != 62 || words != 241335 {
		t.Errorf("%d pages and %d words, want 62 and 241335", len(pages), words)
	}
	if len(pages) != want.Pages || words != want.Words || bytes != want.Bytes {
		t.Errorf("%d pages, %d words, %d bytes; lm-evaluation-harness has %d, %d, %d", len(pages), words, bytes,
			want.Pages, want.Words, want.Bytes)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want.Detokenized {
		t.Errorf("detokenized pages hash to %s, lm-evaluation-harness's to %s", got, want.Detokenized)
	}

	var rows []string // the same split as its Parquet files have it
	for line := range strings.SplitAfterSeq(strings.TrimSuffix(string(raw), "\n"), "\n") {
		if strings.TrimSpace(line) == "" {
			line = ""
		}
		rows = append(rows, line)
	}
	if !slices.Equal(collect(t, rows), pages) {
		t.Error("Parquet rows give other pages than the raw file")
	}
}

// letters is a tokenizer: one id per byte, within 0..6.
func letters(s string) []uint32 {
	ids := make([]uint32, len(s))
	for i := range ids {
		ids[i] = uint32(s[i]) % 7
	}
	return ids
}

func encodeLetters(s string) ([]uint32, error) { return letters(s), nil }

func TestWikiTextAgainstBruteForce(t *testing.T) {
	pages := []string{" = A = \n \n One 's , two . \n ", " = B = \n ( x ) \n", " = C = \n"}
	const prefix = 6
	for _, batch := range []int{1, 3} {
		for _, context := range []int{1, 4, 8} {
			m := newBigram(t, batch, 8, 7)
			r, err := WikiText(t.Context(), m, each(pages, nil), encodeLetters, prefix, Options{Context: context})
			if err != nil {
				t.Fatal(err)
			}
			var nll float64
			var tokens, words, bytes int
			for _, page := range pages {
				ids := letters(Detokenize(page))
				for i, id := range ids {
					before := uint32(prefix)
					if i > 0 {
						before = ids[i-1]
					}
					// The last window is filled from before, so nothing in it is at
					// its first position unless the window is full of new ids.
					last := i >= len(ids)/context*context && len(ids) > context
					nll += m.at(before, id, i%context == 0 && !last)
				}
				tokens += len(ids)
				words += len(strings.Split(squeeze(page), " "))
				bytes += len(page)
			}
			near(t, "nll", r.NLL, nll)
			near(t, "word perplexity", r.WordPerplexity, math.Exp(nll/float64(words)))
			near(t, "byte perplexity", r.BytePerplexity, math.Exp(nll/float64(bytes)))
			near(t, "bits per byte", r.BitsPerByte, nll/float64(bytes)*math.Log2E)
			if r.Pages != 3 || r.Words != int64(words) || r.Bytes != int64(bytes) || r.Tokens != int64(tokens) {
				t.Errorf("%d pages, %d words, %d bytes, %d tokens; want 3, %d, %d, %d", r.Pages, r.Words, r.Bytes,
					r.Tokens, words, bytes, tokens)
			}
			if r.Context != context {
				t.Errorf("context %d, want %d", r.Context, context)
			}
		}
	}
}

// squeeze makes one space of every run of white space.
func squeeze(s string) string {
	s = strings.ReplaceAll(s, "\n", " ")
	for strings.Contains(s, "  ") {
		s = strings.ReplaceAll(s, "  ", " ")
	}
	return s
}

func TestWikiTextLimitEndsWithAPage(t *testing.T) {
	pages := []string{"aaaa", "bbbb", "cccc"}
	m := newBigram(t, 2, 8, 7)
	for limit, want := range map[int64]int64{0: 3, 1: 1, 4: 1, 5: 2, 8: 2, 9: 3, 100: 3} {
		r, err := WikiText(t.Context(), m, each(pages, nil), encodeLetters, 6, Options{MaxTokens: limit})
		if err != nil {
			t.Fatal(err)
		}
		if r.Pages != want || r.Tokens != 4*want || r.Words != want {
			t.Errorf("limit %d: %d pages, %d tokens, %d words; want %d, %d, %d", limit, r.Pages, r.Tokens, r.Words,
				want, 4*want, want)
		}
	}
}

func TestWikiTextErrors(t *testing.T) {
	m := newBigram(t, 2, 8, 7)
	if _, err := WikiText(t.Context(), m, each([]string{}, nil), encodeLetters, 6, Options{}); err == nil ||
		!strings.Contains(err.Error(), "no page") {
		t.Errorf("no pages: %v", err)
	}
	one := each([]string{"a"}, nil)
	if _, err := WikiText(t.Context(), m, one, encodeLetters, 6, Options{Context: 9}); err == nil ||
		!strings.Contains(err.Error(), "1..8") {
		t.Errorf("context 9 of 8: %v", err)
	}
	damaged := errors.New("row 7 is damaged")
	if _, err := WikiText(t.Context(), m, Pages(each([]string{" = A = \n", "text"}, damaged)), encodeLetters, 6,
		Options{}); !errors.Is(err, damaged) {
		t.Errorf("got %v, want %v", err, damaged)
	}
}
