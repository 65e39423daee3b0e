package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model/hf"
	"steplm/model/likelihood"
)

// goldenModels are the models that the harness scored, and their tokenizers.
var goldenModels = map[string][2]string{
	"stories260K":  {"models/stories260K", "golden_tasks/stories260K_tokenizer"},
	"gpt2tok_tiny": {"golden_tasks/gpt2tok_tiny", "tokenizers/gpt2"},
}

// zeroshotFiles are the shared files of tasks.
var zeroshotFiles = map[string]string{"lambada_openai": "lambada_test.openai", "arc_easy": "arc_easy",
	"arc_challenge": "arc_challenge", "hellaswag": "hellaswag_small", "piqa": "piqa", "openbookqa": "openbook_qa",
	"winogrande": "winogrande"}

type golden struct {
	Task    string
	Version float64
	Model   string
	Shots   int     `json:"num_fewshot"`
	Seed    uint64  `json:"fewshot_seed"`
	Context int     `json:"max_length"`
	Prefix  uint32  `json:"prefix_token_id"`
	Results object_ `json:"results"`
	Cut     int     `json:"docs_cut_left"`
	Pages   []int
	Docs    []goldenDoc
}

// object_ is a task's results.
type object_ map[string]any

type goldenDoc struct {
	Context       texts_
	Continuations []string
	ContextLen    ints       `json:"context_len"`
	IDs           [][]uint32 `json:"cont_ids"`
	Cut           []int      `json:"cut_left"`
	LL            floats
	LL64          floats
	Greedy        []bool `json:"is_greedy"`
	Gold          int
	Chars         []float64 `json:"choice_chars"`
	Metrics       map[string]float64
	Shots         []int

	TextHash     string `json:"text_sha256"`
	Words, Bytes int
	Tokens       int
	FirstIDs     []uint32 `json:"first_ids"`
	Windows      [][2]int
}

// texts_, ints and floats are one of a kind, or a list.
type (
	texts_ []string
	ints   []int
	floats []float64
)

func (x *texts_) UnmarshalJSON(b []byte) error { return oneOrMore(b, (*[]string)(x)) }
func (x *ints) UnmarshalJSON(b []byte) error   { return oneOrMore(b, (*[]int)(x)) }
func (x *floats) UnmarshalJSON(b []byte) error { return oneOrMore(b, (*[]float64)(x)) }

func oneOrMore[T any](b []byte, to *[]T) error {
	if b[0] == '[' {
		return json.Unmarshal(b, to)
	}
	var x T
	err := json.Unmarshal(b, &x)
	*to = []T{x}
	return err
}

// goldens are the files of the harness's results, by name.
func goldens(t *testing.T) map[string]golden {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(datatest.Path(t, "golden_tasks"), "*_tiny*.json"))
	more, err2 := filepath.Glob(filepath.Join(datatest.Path(t, "golden_tasks"), "*stories260K*.json"))
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	list := map[string]golden{}
	for _, f := range append(files, more...) {
		var g golden
		readJSON(t, f, &g)
		list[strings.TrimSuffix(filepath.Base(f), ".json")] = g
	}
	if len(list) != 17 {
		t.Fatalf("%d goldens", len(list))
	}
	return list
}

func readJSON(t testing.TB, path string, to any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// folder has the first documents of a task as its evaluated split, and the next 200 to draw shots from.
func (g golden) folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if g.Task == "wikitext" {
		raw, err := os.ReadFile(datatest.Path(t, "wikitext/wiki.test.raw"))
		if err != nil {
			t.Fatal(err)
		}
		var kept []string
		n := 0
		for row, err := range wikitextRows(t, raw) {
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(g.Pages, n) {
				kept = append(kept, row.Row.mustText(t, "page"))
			}
			n++
		}
		write(t, filepath.Join(dir, "wiki.test.jsonl"), pagesJSON(t, kept))
		return dir
	}
	raw, err := os.ReadFile(datatest.Path(t, "zeroshot/"+zeroshotFiles[g.Task]+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(raw, []byte("\n"))
	n := len(g.Docs)
	write(t, filepath.Join(dir, zeroshotFiles[g.Task]+".jsonl"), bytes.Join(lines[:n], nil))
	if g.Shots > 0 && g.Task != "lambada_openai" {
		write(t, filepath.Join(dir, g.Task+"_train.jsonl"), bytes.Join(lines[60:260], nil))
	}
	return dir
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func vocabulary(t testing.TB, name string, context int) *Vocabulary {
	t.Helper()
	tok, err := tokenizer.Load(datatest.Path(t, goldenModels[name][1]))
	if err == nil {
		tok, err = tok.WithEnd("")
	}
	if err == nil {
		tok, err = tok.WithBegin("", false)
	}
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVocabulary(tok, context)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// scorer is a golden model on a device.
func scorer(t testing.TB, d gpu.Device, name string) *likelihood.Scorer {
	t.Helper()
	m, err := hf.Open(d, datatest.Path(t, goldenModels[name][0]))
	if err != nil {
		t.Fatal(err)
	}
	s, err := likelihood.New(m, likelihood.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Free()
		m.Free()
	})
	return s
}

// Every document of every task has the harness's ids, shots, likelihoods and metrics, and every task its results. The
// host device would take minutes: model/likelihood compares it with the others.
func TestGoldens(t *testing.T) {
	all := goldens(t)
	d := gputest.Adapter(t)
	scorers := map[string]*likelihood.Scorer{}
	for name := range goldenModels {
		scorers[name] = scorer(t, d, name)
	}
	for name, g := range all {
		t.Run(name, func(t *testing.T) {
			task, err := Find([]string{g.Task})
			if err != nil {
				t.Fatal(err)
			}
			s, err := Prepare(task[0], vocabulary(t, g.Model, g.Context), Options{Folders: []string{g.folder(t)},
				Shots: g.Shots, Seed: g.Seed})
			if err != nil {
				t.Fatal(err)
			}
			e := Evaluation{Scorer: scorers[g.Model], Resamples: Resamples}
			outcomes, err := e.Evaluate(t.Context(), []*Set{s})
			if err != nil {
				t.Fatal(err)
			}
			g.compare(t, outcomes[0])
		})
	}
}

// compare compares with what the harness found.
func (g golden) compare(t *testing.T, o Outcome) {
	t.Helper()
	if len(o.samples) != len(g.Docs) {
		t.Fatalf("%d documents, want %d", len(o.samples), len(g.Docs))
	}
	if requests, _ := o.Cut(); (requests == 0) != (g.Cut == 0) {
		t.Errorf("%d requests are cut, want those of %d documents", requests, g.Cut)
	}
	for i, want := range g.Docs {
		got := o.samples[i]
		if g.Task == "wikitext" {
			want.comparePage(t, i, got)
			continue
		}
		want.compare(t, i, got)
		if g.Shots > 0 {
			base := 60
			if g.Task == "lambada_openai" {
				base = 0
			}
			for j, n := range got.drawn {
				if n+base != want.Shots[j] {
					t.Errorf("document %d: shots %v, want %v less %d", i, got.drawn, want.Shots, base)
				}
			}
		}
		for j, m := range o.Metrics {
			if x := numbers(got.values[j : j+1])[0]; m.Name != "perplexity" && x != want.Metrics[m.Name] {
				t.Errorf("document %d: %s is %g, want %g", i, m.Name, x, want.Metrics[m.Name])
			}
		}
	}
	text, err := json.Marshal(o.result())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(g.Results) {
		t.Errorf("results %v, want %v", got, g.Results)
	}
	for key, want := range g.Results {
		x, number := want.(float64)
		y, _ := got[key].(float64)
		if !number && got[key] != want || number && math.Abs(x-y) > tolerance(key)*math.Max(1, math.Abs(x)) {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
}

// tolerance is that of a metric, relative above 1.
func tolerance(metric string) float64 {
	switch {
	case strings.HasPrefix(metric, "perplexity_stderr"):
		return 1e-3
	case strings.Contains(metric, "perplexity"):
		return 1e-4
	case strings.HasPrefix(metric, "bits_per_byte"):
		return 1e-6
	}
	return 1e-9
}

// near reports whether a likelihood is the harness's.
func near(got, want float64) bool { return math.Abs(got-want) <= math.Max(1e-3, 2e-6*math.Abs(want)) }

func (want goldenDoc) compare(t *testing.T, i int, got sample) {
	t.Helper()
	if !slices.Equal(got.Continuations, want.Continuations) || len(got.requests) != len(want.IDs) {
		t.Fatalf("document %d: continuations %q, want %q", i, got.Continuations, want.Continuations)
	}
	for j, r := range got.requests {
		context := want.Context[min(j, len(want.Context)-1)]
		length := want.ContextLen[min(j, len(want.ContextLen)-1)]
		cut := 0
		if len(want.Cut) > 0 {
			cut = want.Cut[j]
		}
		if got.contexts[j] != context || len(r.Context)+got.cut[j] != length ||
			!slices.Equal(r.Continuation, want.IDs[j]) ||
			got.cut[j] != cut {
			t.Errorf(
				"document %d, choice %d: %d ids of %q cut by %d, then %v; want %d of %q cut by %d, %v",
				i,
				j,
				len(
					r.Context,
				)+got.cut[j],
				got.contexts[j],
				got.cut[j],
				r.Continuation,
				length,
				context,
				cut,
				want.IDs[j],
			)
		}
		if a := got.answers[j]; !near(a.LogLikelihood, want.LL64[j]) || a.Greedy != want.Greedy[j] {
			t.Errorf("document %d, choice %d: %v, want %g and %t", i, j, a, want.LL64[j], want.Greedy[j])
		}
	}
	if want.Chars != nil && (got.Gold != want.Gold) {
		t.Errorf("document %d: choice %d is right, want %d", i, got.Gold, want.Gold)
	}
}

func (want goldenDoc) comparePage(t *testing.T, i int, got sample) {
	t.Helper()
	windows, tokens := [][2]int{}, 0
	for _, r := range got.requests {
		windows = append(windows, [2]int{len(r.Context), len(r.Continuation)})
		tokens += len(r.Continuation)
	}
	first := got.requests[0].Continuation
	if hash(got.Target) != want.TextHash || tokens != want.Tokens || !slices.Equal(windows, want.Windows) ||
		!slices.Equal(first[:len(want.FirstIDs)], want.FirstIDs) {
		t.Errorf("page %d: windows %v of %d ids, want %v of %d", i, windows, tokens, want.Windows, want.Tokens)
	}
	if w := got.values[0].(weighted); int(w[1]) != want.Words || !near(float64(w[0]), want.LL64[0]) {
		t.Errorf("page %d: %v, want %g of %d words", i, w, want.LL64[0], want.Words)
	}
}

// wikitextRows are the pages of a raw file.
func wikitextRows(t *testing.T, raw []byte) func(func(located, error) bool) {
	path := filepath.Join(t.TempDir(), "wiki.test.raw")
	write(t, path, raw)
	return wikitext.rows(path)
}

func (r Row) mustText(t *testing.T, name string) string {
	t.Helper()
	s, err := r.text(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pagesJSON(t *testing.T, pages []string) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range pages {
		text, err := json.Marshal(map[string]string{"page": p})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n", text)
	}
	return b.Bytes()
}
