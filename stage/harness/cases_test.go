package harness

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model/likelihood"
)

type likelihoodCases struct {
	Context  int    `json:"max_length"`
	Prefix   uint32 `json:"prefix_token_id"`
	Requests []struct {
		Name, Context, Continuation string
		ContextIDs                  []uint32 `json:"context_ids"`
		IDs                         []uint32 `json:"continuation_ids"`
		Cut                         int      `json:"cut_left"`
		LL                          float64  `json:"ll64"`
		Greedy                      bool     `json:"is_greedy"`
	} `json:"loglikelihood"`
	Rolling []struct {
		Name, Text string
		IDs        int
		Windows    [][2]int
		LL         float64 `json:"ll64"`
	}
	Failures []struct {
		Name, Context, Continuation string
		Result                      any
	}
}

// Empty contexts, blanks at their end, special tokens by name, lengths around the limit: ids, cuts and likelihoods are
// the harness's, and so is what it refuses.
func TestLikelihoodCases(t *testing.T) {
	var all map[string]likelihoodCases
	readJSON(t, datatest.Path(t, "golden_tasks/loglikelihood_cases.json"), &all)
	d := gputest.Adapter(t)
	for name := range goldenModels {
		t.Run(name, func(t *testing.T) { all[name].test(t, d, name) })
	}
}

func (c likelihoodCases) test(t *testing.T, d gpu.Device, name string) {
	v := vocabulary(t, name, c.Context)
	var requests []likelihood.Request
	var wants []float64
	var check []func(a likelihood.Answer) bool
	for _, want := range c.Requests {
		whole, err := v.pair(want.Context, want.Continuation)
		if err != nil {
			t.Fatalf("%s: %v", want.Name, err)
		}
		r, cut := v.cut(whole)
		if cut != want.Cut || !slices.Equal(whole.Continuation, want.IDs) || !slices.Equal(r.Context, want.ContextIDs[cut:]) {
			t.Errorf("%s: %v then %v, cut by %d; want %v then %v, cut by %d", want.Name, whole.Context, whole.Continuation,
				cut, want.ContextIDs, want.IDs, want.Cut)
		}
		requests, wants = append(requests, r), append(wants, want.LL)
		check = append(check, func(a likelihood.Answer) bool { return a.Greedy == want.Greedy })
	}
	sums := map[int][]int{} // of texts, by their number: which requests add up to them
	for i, want := range c.Rolling {
		list, err := v.rolling(want.Text)
		if err != nil {
			t.Fatalf("%s: %v", want.Name, err)
		}
		var windows [][2]int
		for _, r := range list {
			windows = append(windows, [2]int{len(r.Context), len(r.Continuation)})
			sums[i] = append(sums[i], len(requests))
			requests = append(requests, r)
		}
		if !slices.Equal(windows, want.Windows) {
			t.Errorf("%s: windows %v, want %v", want.Name, windows, want.Windows)
		}
	}
	answers := make([]likelihood.Answer, len(requests))
	if err := scorer(t, d, name).Score(t.Context(), requests, func(i int, a likelihood.Answer) error {
		answers[i] = a
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i, want := range wants {
		if !near(answers[i].LogLikelihood, want) || !check[i](answers[i]) {
			t.Errorf("%s: %v, want %g", c.Requests[i].Name, answers[i], want)
		}
	}
	for i, want := range c.Rolling {
		sum := 0.0
		for _, j := range sums[i] {
			sum += answers[j].LogLikelihood
		}
		if !near(sum, want.LL) {
			t.Errorf("%s: %g, want %g", want.Name, sum, want.LL)
		}
	}
	for _, want := range c.Failures {
		if strings.HasPrefix(want.Name, "continuation longer") { // of which the file has the beginning alone
			want.Continuation = strings.Repeat(want.Continuation, 30)
		}
		_, err := v.pair(want.Context, want.Continuation)
		if fails := strings.HasPrefix(fmt.Sprint(want.Result), "fails"); fails != (err != nil) {
			t.Errorf("%s: %v, want %v", want.Name, err, want.Result)
		}
	}
}

// The generator, its draws and the bootstrap are Python's.
func TestRandom(t *testing.T) {
	var want struct {
		Bits    map[string][]uint32  `json:"getrandbits32"`
		First   map[string][]float64 `json:"first_random"`
		Samples []struct {
			Seed    uint64
			Pool, N int
			Draws   [][]int `json:"consecutive_draws"`
		}
		With struct {
			Seed    uint64
			Pool, N int
			Shots   [][2]any `json:"eval_doc_and_shots"`
		} `json:"with_eval_doc"`
		Bootstrap struct {
			Values     []float64
			Perplexity float64
			StdErr     map[string]float64
			First      []int   `json:"first_choices_seed0"`
			Mean       float64 `json:"acc_mean_stderr"`
		}
	}
	readJSON(t, datatest.Path(t, "golden_tasks/rng.json"), &want)
	for name, list := range want.Bits {
		var seed uint64
		fmt.Sscan(name, &seed)
		r := newRandom(seed)
		for i, x := range list {
			if got := r.next(); got != x {
				t.Errorf("seed %s, number %d: %d, want %d", name, i, got, x)
			}
		}
	}
	for name, x := range want.First {
		var seed uint64
		fmt.Sscan(name, &seed)
		if got := newRandom(seed).float(); got != x[0] {
			t.Errorf("seed %s: %v, want %v", name, got, x)
		}
	}
	for _, s := range want.Samples {
		r := newRandom(s.Seed)
		for i, draw := range s.Draws {
			if got := r.sample(s.Pool, s.N); !slices.Equal(got, draw) {
				t.Errorf("%d of %d, draw %d: %v, want %v", s.N, s.Pool, i, got, draw)
			}
		}
	}
	var pool []Document
	for i := range want.With.Pool {
		pool = append(pool, Document{Contexts: []string{fmt.Sprint(i)}, Continuations: []string{"x"}})
	}
	shots, err := newShots(&piqa, pool, want.With.N, want.With.Seed)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want.With.Shots {
		own := int(w[0].(float64))
		if got := shots.draw(pool[own]); fmt.Sprint(got) != fmt.Sprint(w[1]) {
			t.Errorf("before document %d: %v, want %v", own, got, w[1])
		}
	}
	r := newRandom(0)
	for i, x := range want.Bootstrap.First {
		if got := int(r.float() * float64(len(want.Bootstrap.Values))); got != x {
			t.Errorf("choice %d: %d, want %d", i, got, x)
		}
	}
	var values []any
	for _, x := range want.Bootstrap.Values {
		values = append(values, float(x))
	}
	for name, x := range want.Bootstrap.StdErr {
		var resamples int
		fmt.Sscan(name, &resamples)
		value, stderr := perplexity.all(values, resamples)
		if math.Abs(stderr-x) > 1e-9*x || math.Abs(value-want.Bootstrap.Perplexity) > 1e-9*value {
			t.Errorf("%s resamples: %v, %v, want %v, %v", name, value, stderr, want.Bootstrap.Perplexity, x)
		}
	}
}

// Where a document is in the pool more than once, as many shots are drawn all the same; and a pool that is too small is
// refused.
func TestShotsOfEqualDocuments(t *testing.T) {
	own := Document{Contexts: []string{"own"}, Continuations: []string{"x"}}
	pool := []Document{own, own, own, {Contexts: []string{"a"}}, {Contexts: []string{"b"}}}
	s, err := newShots(&piqa, pool, 2, 1234)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if got := s.draw(own); len(got) != 2 || got[0] == got[1] || min(got[0], got[1]) < 3 {
			t.Fatalf("%v are drawn", got)
		}
	}
	if _, err := newShots(&piqa, pool, 5, 1); err == nil || !strings.Contains(err.Error(), "6 shots are drawn") {
		t.Errorf("5 shots of 5 documents without one's own: %v", err)
	}
	if _, err := newShots(&arcEasy, pool, 5, 1); err != nil {
		t.Errorf("5 shots of 5 documents: %v", err)
	}
}
