package eval

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"steplm/data"
	"steplm/data/datatest"
)

// letterTokenizer is letters as a data.Tokenizer.
type letterTokenizer struct{ endOfText bool }

func (letterTokenizer) Encode(s string) ([]uint32, error) { return letters(s), nil }
func (letterTokenizer) VocabSize() int                    { return 7 }
func (t letterTokenizer) EndOfText() (uint32, bool)       { return 6, t.endOfText }

var tokenizer = letterTokenizer{endOfText: true}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeShard(t *testing.T, texts []string) string {
	t.Helper()
	var rows []datatest.Row
	for _, text := range texts {
		rows = append(rows, datatest.Row{Text: text})
	}
	path := filepath.Join(t.TempDir(), "shard.parquet")
	if err := datatest.WriteShard(path, rows, datatest.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	return path
}

func openShard(t *testing.T, path string) *data.Shards {
	t.Helper()
	s, err := data.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a task that there is.
func open(t *testing.T, kind string, s Source) Task {
	t.Helper()
	s.Tokenizer = tokenizer
	task, err := Open(kind, s)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// run runs a task twice, since a trainer does, and follows its progress.
func run(t *testing.T, task Task, o Options) Result {
	t.Helper()
	var first Result
	for i := range 2 {
		last, heard := 0.0, int64(0)
		o.Progress = func(tokens int64, share float64) {
			if share < last || share <= 0 || share > 1 {
				t.Errorf("%s: share %g after %g", task.Name(), share, last)
			}
			last, heard = share, tokens
		}
		r, err := task.Run(t.Context(), newBigram(t, 2, 6, 7), o)
		if err != nil {
			t.Fatalf("%s: %v", task.Name(), err)
		}
		if heard != r.Tokens() {
			t.Errorf("%s: progress ended at %d of %d tokens", task.Name(), heard, r.Tokens())
		}
		if o.MaxTokens == 0 && last < 0.9 {
			t.Errorf("%s: progress ended at a share of %g", task.Name(), last)
		}
		if i == 0 {
			first = r
		} else if !reflect.DeepEqual(r, first) {
			t.Errorf("%s: a second run gave %+v, the first %+v", task.Name(), r, first)
		}
	}
	return first
}

func TestDocumentsTaskIsPerplexity(t *testing.T) {
	texts := []string{"One two three.", "Four", "", "five and six and seven, and so on"}
	path := writeShard(t, texts)
	for _, o := range []Options{{}, {Stride: 2}, {Context: 4, MaxTokens: 9}} {
		want, err := Perplexity(t.Context(), newBigram(t, 2, 6, 7), Encoded(each(texts, nil), encodeLetters, 6), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []Source{{Name: "held out", Path: path}, {Name: "held out", Shards: openShard(t, path)}} {
			got := run(t, open(t, "documents", s), o)
			if !reflect.DeepEqual(got, want.result("held out")) || got.Perplexity() != want.Perplexity ||
				got.Tokens() != want.Tokens || got.Protocol.Unit != "token" {
				t.Errorf("%+v: got %+v, want %+v", o, got, want)
			}
		}
	}
}

func TestTextTaskIsOneDocument(t *testing.T) {
	text := strings.Repeat("No line of it ends a document.\n", 9)
	want, err := Perplexity(t.Context(), newBigram(t, 2, 6, 7), Encoded(each([]string{text}, nil), encodeLetters, 6),
		Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := run(t, open(t, "text", Source{Path: writeFile(t, "a.txt", text)}), Options{})
	if !reflect.DeepEqual(got, want.result("text")) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWikiTextTaskReadsTextAndRowsAlike(t *testing.T) {
	text := " \n = First page = \n \n Some words , @-@ of it . \n \n = Second = \n \n And more . \n"
	var rows []string
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" {
			line = ""
		}
		rows = append(rows, line)
	}
	pages := Pages(each([]string{text}, nil))
	want, err := WikiText(t.Context(), newBigram(t, 2, 6, 7), pages, encodeLetters, 6, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want.Pages != 2 {
		t.Fatalf("%d pages, want 2", want.Pages)
	}
	for _, path := range []string{writeFile(t, "wiki.raw", text), writeShard(t, rows)} {
		got := run(t, open(t, "wikitext", Source{Path: path}), Options{})
		if !reflect.DeepEqual(got, want.result("wikitext")) ||
			got.Perplexity() != want.WordPerplexity || got.Protocol.Unit != "word" {
			t.Errorf("%s: got %+v, want %+v", filepath.Base(path), got, want)
		}
	}
}

func TestTaskErrors(t *testing.T) {
	whole, err := os.ReadFile(writeShard(t, []string{strings.Repeat("text ", 100)}))
	if err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "wiki.raw")
	text := writeFile(t, "a.txt", "text")
	cut := string(whole[:len(whole)/2])
	for name, c := range map[string]struct {
		kind, path string
		tokenizer  data.Tokenizer
		early      bool // before anything is measured
		want       string
	}{
		"missing":                    {"wikitext", missing, tokenizer, true, missing},
		"missing text":               {"text", missing, tokenizer, true, missing},
		"missing rows":               {"documents", missing, tokenizer, true, missing},
		"empty":                      {"wikitext", writeFile(t, "empty.raw", ""), tokenizer, true, "empty.raw"},
		"empty Parquet":              {"wikitext", writeFile(t, "a.parquet", ""), tokenizer, true, "a.parquet"},
		"Parquet cut short":          {"wikitext", writeFile(t, "b.parquet", cut), tokenizer, true, "b.parquet"},
		"Parquet cut short, no name": {"wikitext", writeFile(t, "shard", cut), tokenizer, true, "shard"},
		"no end of text":             {"wikitext", text, letterTokenizer{}, false, "no end-of-text token"},
		"no end of text, text":       {"text", text, letterTokenizer{}, false, "no end-of-text token"},
		"no tokenizer":               {"text", text, nil, true, "needs a tokenizer"},
		"no task":                    {"wikitxt", text, tokenizer, true, `"wikitxt": choose one of documents`},
	} {
		task, err := Open(c.kind, Source{Path: c.path, Tokenizer: c.tokenizer})
		if c.early != (err != nil) {
			t.Errorf("%s: opening it gives %v", name, err)
		}
		if err == nil {
			_, err = task.Run(t.Context(), newBigram(t, 2, 6, 7), Options{})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestTexts(t *testing.T) {
	for path, want := range map[string][]string{
		writeFile(t, "a.txt", "one\ntwo\n"):     {"one\ntwo\n"},
		writeShard(t, []string{"one", "", "b"}): {"one", "", "b"},
	} {
		texts, err := Texts(Source{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for text, err := range texts {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", filepath.Base(path), got, want)
		}
	}
	if _, err := Texts(Source{Path: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("read what is not there")
	}
}
