package eval

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"steplm/model"
)

// Result is what a task found out about a model.
type Result struct {
	Task     string
	Metrics  map[string]Metric
	Protocol Protocol
}

// Metric is a number with its standard error, 0 where none is known.
type Metric struct{ Value, StdErr float64 }

// Protocol is how a result was measured: without it a perplexity says nothing. What a task does not
// have stays zero.
type Protocol struct {
	Unit    string `json:"unit,omitempty"`    // of a perplexity: token or word
	Context int    `json:"context,omitempty"` // positions of a window
	Stride  int    `json:"stride,omitempty"`  // tokens from one window's start to the next
	Prefix  string `json:"prefix,omitempty"`  // what a text's first window begins with, where that is a beginning token
	// Of documents in one window: whether attention stays inside them, and where positions begin.
	model.Documents
}

// Names of metrics that several tasks have.
const (
	perplexityMetric     = "perplexity" // per token
	wordPerplexityMetric = "word_perplexity"
	tokensMetric         = "tokens" // that were scored
)

// unitWord is the Protocol.Unit of a perplexity per word.
const unitWord = "word"

// stdErrSuffix ends the name of a metric's standard error in JSON.
const stdErrSuffix = "_stderr"

// Value is a metric's value, 0 where there is none.
func (r Result) Value(metric string) float64 { return r.Metrics[metric].Value }

// Count is a metric that is a whole number.
func (r Result) Count(metric string) int64 { return int64(r.Metrics[metric].Value) }

// Perplexity is the one that is reported, per Protocol.Unit.
func (r Result) Perplexity() float64 { return r.Value(r.perplexityName()) }

func (r Result) perplexityName() string {
	if r.Protocol.Unit == unitWord {
		return wordPerplexityMetric
	}
	return perplexityMetric
}

// Loss is the mean over what was scored, in nats; ok is false where the task has none.
func (r Result) Loss() (loss float64, ok bool) {
	nll, ok := r.Metrics["nll"]
	return nll.Value / float64(r.Tokens()), ok && r.Tokens() > 0
}

// Tokens is how many were scored.
func (r Result) Tokens() int64 { return r.Count(tokensMetric) }

// PerplexityOf is a perplexity per token with no protocol besides, as a table of frequencies has it.
func PerplexityOf(task string, perplexity float64, tokens int64) Result {
	metrics := map[string]Metric{perplexityMetric: {Value: perplexity}, tokensMetric: count(tokens)}
	return Result{task, metrics, Protocol{Unit: "token"}}
}

func count(n int64) Metric { return Metric{Value: float64(n)} }

// resultJSON is a Result as files have it: what is reported of a perplexity, then metrics, standard
// errors and protocol side by side, or null where the former says it all.
type resultJSON struct {
	Name       string                     `json:"name"`
	Perplexity *float64                   `json:"perplexity,omitempty"`
	Unit       string                     `json:"unit,omitempty"`
	Tokens     *float64                   `json:"tokens,omitempty"`
	Detail     map[string]json.RawMessage `json:"detail"`
}

// MarshalJSON refuses a number that is not finite, and a metric under the name of something else.
func (r Result) MarshalJSON() ([]byte, error) {
	protocol, err := fields(r.Protocol)
	if err != nil {
		return nil, err
	}
	out := resultJSON{Name: r.Task, Unit: r.Protocol.Unit, Detail: protocol}
	known := r.Protocol == Protocol{Unit: r.Protocol.Unit}
	for name, m := range r.Metrics {
		_, taken := protocolNames[name]
		if taken || strings.HasSuffix(name, stdErrSuffix) {
			return nil, fmt.Errorf("eval: %s: a metric cannot be named %q", r.Task, name)
		}
		for _, x := range []struct {
			name  string
			value float64
			there bool
		}{{name, m.Value, true}, {name + stdErrSuffix, m.StdErr, m.StdErr != 0}} {
			if math.IsNaN(x.value) || math.IsInf(x.value, 0) {
				return nil, fmt.Errorf("%w: %s's %s is %v", ErrNotFinite, r.Task, x.name, x.value)
			}
			if x.there {
				if out.Detail[x.name], err = json.Marshal(x.value); err != nil {
					return nil, err
				}
			}
		}
		switch value := m.Value; {
		case name == r.perplexityName():
			out.Perplexity = &value
		case name == tokensMetric:
			out.Tokens = &value
		default:
			known = false
		}
		known = known && m.StdErr == 0
	}
	if known {
		out.Detail = nil
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Result) UnmarshalJSON(text []byte) error {
	var in resultJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*r = Result{Task: in.Name, Protocol: Protocol{Unit: in.Unit}}
	set := func(name string, value float64) {
		if r.Metrics == nil {
			r.Metrics = map[string]Metric{}
		}
		m := r.Metrics[strings.TrimSuffix(name, stdErrSuffix)]
		if strings.HasSuffix(name, stdErrSuffix) {
			m.StdErr = value
		} else {
			m.Value = value
		}
		r.Metrics[strings.TrimSuffix(name, stdErrSuffix)] = m
	}
	if in.Perplexity != nil {
		set(r.perplexityName(), *in.Perplexity)
	}
	if in.Tokens != nil {
		set(tokensMetric, *in.Tokens)
	}
	protocol := map[string]json.RawMessage{}
	for name, value := range in.Detail {
		if _, ok := protocolNames[name]; ok {
			protocol[name] = value
			continue
		}
		var number float64
		if err := json.Unmarshal(value, &number); err != nil {
			return fmt.Errorf("eval: %s's %s is no number: %w", in.Name, name, err)
		}
		set(name, number)
	}
	again, err := json.Marshal(protocol)
	if err != nil {
		return err
	}
	return json.Unmarshal(again, &r.Protocol)
}

// protocolNames are those of a protocol's fields in JSON.
var protocolNames = func() map[string]json.RawMessage {
	names, err := fields(Protocol{"x", 1, 1, "x", model.Documents{Mask: "x", Positions: "x"}})
	if err != nil {
		panic(err)
	}
	return names
}()

func fields(p Protocol) (list map[string]json.RawMessage, err error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return list, json.Unmarshal(text, &list)
}
