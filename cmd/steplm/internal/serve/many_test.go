package serve_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"steplm/cmd/steplm/internal/serve"
	"steplm/model/generate"
)

// heap is what lives on Go's heap.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// asking is one request of a client, of which no other has the text.
func asking(g *rand.Rand) object {
	return object{"prompt": fmt.Sprintf("Tom had %d cats and %d dogs", g.IntN(1000), g.IntN(1000)),
		"max_tokens": 2 + g.IntN(14), "seed": g.IntN(1000), "temperature": g.IntN(3),
		"echo": g.IntN(2) == 0, "logprobs": g.IntN(2)}
}

// Sixty-four clients at once: none is lost, none gets another's text, each gets the text that it gets alone, and memory
// does not grow. STEPLM_SOAK says for how long, such as 5m; without it each asks twice.
func TestManyClients(t *testing.T) {
	soak := time.Duration(0)
	if text := os.Getenv("STEPLM_SOAK"); text != "" {
		var err error
		if soak, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	const clients = 64
	s := stories(t, func(c *serve.Config, _ *generate.Config) { c.QueueTime, c.RequestTime = time.Hour, time.Hour })
	type one struct {
		request object
		text    string
		tokens  int
	}
	var mu sync.Mutex
	var took []time.Duration
	var kept []one
	ends, began := time.Now().Add(soak), time.Now()
	var early, late uint64
	round := func(n int, deadline time.Time) {
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				g := rand.New(rand.NewPCG(uint64(i), uint64(n)))
				for ask := 0; ask == 0 || time.Now().Before(deadline); ask++ {
					request := asking(g)
					began, got := time.Now(), one{request: request}
					if g.IntN(2) == 0 {
						a := s.ask("/v1/completions", request)
						if len(a.Choices) == 1 {
							got.text, got.tokens = a.Choices[0].Text, a.Usage.Completion
						}
					} else {
						request["stream_options"] = object{"include_usage": true}
						for _, a := range s.stream("/v1/completions", request) {
							for _, c := range a.Choices {
								got.text += c.Text
							}
							if a.Usage != nil {
								got.tokens = a.Usage.Completion
							}
						}
					}
					if own := request["prompt"].(string); request["echo"] == true && !strings.HasPrefix(got.text, own) {
						t.Errorf("asked with %q, answered %q", own, got.text)
					}
					mu.Lock()
					if took = append(took, time.Since(began)); ask == 0 {
						kept = append(kept, got)
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
	}
	round(0, time.Time{}) // so that what is made once is there
	early = heap()
	round(1, ends)
	late = heap()
	if s.metric("running", "")+s.metric("waiting", "")+s.metric("cache_used", "") != 0 {
		t.Error("something is left behind")
	}
	if n := s.metric("requests_total", `code="200",path="/v1/completions"`); int(n) != len(took) {
		t.Errorf("%g requests were answered of %d", n, len(took))
	}
	if grown := int64(late) - int64(early); grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes, from %d", grown, early)
	}
	slices.Sort(took)
	at := func(share float64) time.Duration {
		return took[int(share*float64(len(took)-1))].Round(time.Millisecond)
	}
	t.Logf("%d requests of %d clients in %s: p50 %s, p99 %s, the longest %s; the heap had %.1f MB, then %.1f MB",
		len(took), clients, time.Since(began).Round(time.Millisecond), at(0.5), at(0.99), at(1), float64(early)/1e6,
		float64(late)/1e6)
	for i := 0; i < len(kept); i += 8 {
		request := kept[i].request
		delete(request, "stream")
		delete(request, "stream_options")
		alone := s.ask("/v1/completions", request)
		if c := alone.Choices[0]; c.Text != kept[i].text || alone.Usage.Completion != kept[i].tokens {
			t.Errorf("%v: alone %q, among many %q", request, c.Text, kept[i].text)
		}
	}
}
