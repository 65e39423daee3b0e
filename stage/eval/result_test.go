package eval

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Other programs read these names: a change here breaks them.
func TestResultJSON(t *testing.T) {
	for _, c := range []struct {
		r    Result
		text string
	}{
		{
			PerplexityResult{Perplexity: 2.5, NLL: 3, Tokens: 40000000000, Documents: 5, Context: 6, Stride: 7}.result(
				"held"),
			`{"name":"held","perplexity":2.5,"unit":"token","tokens":40000000000,` +
				`"detail":{"context":6,"documents":5,"nll":3,"perplexity":2.5,"stride":7,"tokens":40000000000,"unit":"token"}}`,
		},
		{
			WikiTextResult{WordPerplexity: 2, BytePerplexity: 1.5, BitsPerByte: 1, NLL: 3, Pages: 4, Words: 5, Bytes: 6,
				Tokens: 7, Context: 8}.result("wikitext"),
			`{"name":"wikitext","perplexity":2,"unit":"word","tokens":7,` +
				`"detail":{"bits_per_byte":1,"byte_perplexity":1.5,"bytes":6,"context":8,"nll":3,"pages":4,"tokens":7,"unit":"word","word_perplexity":2,"words":5}}`,
		},
		{PerplexityOf("unigram", 9, 8), `{"name":"unigram","perplexity":9,"unit":"token","tokens":8,"detail":null}`},
		{
			Result{Task: "choices", Metrics: map[string]Metric{"accuracy": {0.5, 0.125}, "perplexity": {3, 0.5}},
				Protocol: Protocol{Context: 8}},
			`{"name":"choices","perplexity":3,"detail":{"accuracy":0.5,"accuracy_stderr":0.125,"context":8,"perplexity":3,"perplexity_stderr":0.5}}`,
		},
		{
			Result{Task: "short", Metrics: map[string]Metric{"perplexity": {Value: 3}}, Protocol: Protocol{Context: 8}},
			`{"name":"short","perplexity":3,"detail":{"context":8,"perplexity":3}}`,
		},
		{Result{Task: "none"}, `{"name":"none","detail":null}`},
	} {
		text, err := json.Marshal(c.r)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != c.text {
			t.Errorf("%s: got\n%s, want\n%s", c.r.Task, text, c.text)
		}
		var back Result
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.r, back); diff != "" {
			t.Errorf("%s decodes into another (-wrote +read):\n%s", c.r.Task, diff)
		}
	}
}

func TestResultJSONErrors(t *testing.T) {
	metric := func(name string, m Metric) Result { return Result{Task: "toy", Metrics: map[string]Metric{name: m}} }
	for _, r := range []Result{metric("accuracy", Metric{Value: math.NaN()}),
		metric("accuracy", Metric{1, math.Inf(1)})} {
		if _, err := json.Marshal(r); !errors.Is(err, ErrNotFinite) ||
			!strings.Contains(err.Error(), "toy's accuracy") {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, name := range []string{"stride", "unit", "accuracy_stderr"} {
		if _, err := json.Marshal(metric(name, Metric{Value: 1})); err == nil ||
			!strings.Contains(err.Error(), `named "`+name+`"`) {
			t.Errorf("a metric named %s: %v", name, err)
		}
	}
	for text, want := range map[string]string{
		`{"name":"toy","detail":{"accuracy":"high"}}`: "toy's accuracy is no number",
		`{"name":"toy","detail":{"stride":"long"}}`:   "stride",
		`{"name":3}`: "name",
	} {
		if err := json.Unmarshal([]byte(text), new(Result)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
