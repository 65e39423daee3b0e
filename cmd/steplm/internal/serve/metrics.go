package serve

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"steplm/model/engine"
)

// metrics are what Prometheus is told.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	tokens   *prometheus.CounterVec
	ended    *prometheus.CounterVec
	first    prometheus.Histogram
	waited   prometheus.Histogram
	steps    prometheus.Histogram
}

// newMetrics are those of an engine, which is asked for its state when they are read.
func newMetrics(state func() engine.State) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "steplm_" + name, Help: help}, labels)
	}
	seconds := func(name, help string) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: "steplm_" + name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 20)} // 1 ms to 9 minutes
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: counter("requests_total", "Requests that were answered.", "path", "code"),
		seconds: prometheus.NewHistogramVec(seconds("request_seconds", "How long requests took, whole."),
			[]string{"path"}),
		tokens: counter("tokens_total", "Tokens of prompts, and tokens that were added.", "kind"),
		ended:  counter("texts_total", "Texts that ended, and why.", "reason"),
		first:  prometheus.NewHistogram(seconds("first_token_seconds", "How long a text's first token took.")),
		waited: prometheus.NewHistogram(seconds("queue_seconds", "How long texts waited for a slot.")),
		steps:  prometheus.NewHistogram(seconds("step_seconds", "How long a step of all running texts took.")),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.tokens, m.ended, m.first, m.waited, m.steps,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for name, gauge := range map[string]struct {
		help string
		of   func(engine.State) int
	}{
		"running":         {"Texts that run.", func(s engine.State) int { return s.Running }},
		"waiting":         {"Texts that wait for a slot.", func(s engine.State) int { return s.Waiting }},
		"slots":           {"Texts that can run at once.", func(s engine.State) int { return s.Slots }},
		"cache_positions": {"Positions of the cache.", func(s engine.State) int { return s.Positions }},
		"cache_used":      {"Positions of the cache that texts have.", func(s engine.State) int { return s.Used }},
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "steplm_" + name, Help: gauge.help},
			func() float64 { return float64(gauge.of(state())) }))
	}
	return m
}

func (m *metrics) stepped(took time.Duration) { m.steps.Observe(took.Seconds()) }
