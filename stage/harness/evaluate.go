package harness

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"steplm/model/likelihood"
)

// Scorer answers requests, each once, in any order.
type Scorer interface {
	Score(ctx context.Context, requests []likelihood.Request, heard func(i int, a likelihood.Answer) error) error
}

// Progress is how far an evaluation is: requests that differ, and the tokens of them.
type Progress struct {
	Requests, AllRequests int64
	Tokens, AllTokens     int64
}

// Evaluation says how sets are evaluated.
type Evaluation struct {
	Scorer    Scorer
	Journal   *Journal // keeps answers; nil: nobody does
	Resamples int      // of bootstraps; 0: perplexities have no standard error
	Progress  func(Progress)
}

// Outcome is what a task came to.
type Outcome struct {
	*Set
	Metrics []Value
	// Chance is the mean accuracy of who knows nothing; 0: of other than choices.
	Chance  float64
	samples []sample
}

// Value is a metric's. StdErr is NaN where the harness has none.
type Value struct {
	Name          string
	Higher        bool // is better
	Value, StdErr float64
}

// sample is a document with its answers and metrics.
type sample struct {
	asked
	answers []likelihood.Answer // one for each context and continuation
	values  []any               // by metric
}

// key tells requests apart: the hash of their ids.
type key [16]byte

func keyOf(r likelihood.Request) (k key) {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(r.Context)))
	for _, id := range slices.Concat(r.Context, r.Continuation) {
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	hash := sha256.Sum256(b)
	copy(k[:], hash[:])
	return k
}

// Evaluate has the requests of all sets answered together, equal ones once, and judges the answers.
func (e Evaluation) Evaluate(ctx context.Context, sets []*Set) ([]Outcome, error) {
	answers, err := e.answer(ctx, sets)
	if err != nil {
		return nil, err
	}
	var list []Outcome
	for _, s := range sets {
		o, err := e.judge(s, answers)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Task.Name, err)
		}
		list = append(list, o)
	}
	return list, nil
}

// answer finds out all answers.
func (e Evaluation) answer(ctx context.Context, sets []*Set) (map[key]likelihood.Answer, error) {
	answers := map[key]likelihood.Answer{}
	var open []likelihood.Request
	var keys []key
	known := e.Journal.known()
	var p Progress
	seen := map[key]bool{}
	for _, s := range sets {
		for _, a := range s.asked {
			for _, r := range a.requests {
				k := keyOf(r)
				if seen[k] {
					continue
				}
				seen[k] = true
				p.AllRequests, p.AllTokens = p.AllRequests+1, p.AllTokens+tokensOf(r)
				if answer, ok := known[k]; ok {
					answers[k] = answer
					p.Requests, p.Tokens = p.Requests+1, p.Tokens+tokensOf(r)
					continue
				}
				open, keys = append(open, r), append(keys, k)
			}
		}
	}
	e.tell(p)
	err := e.Scorer.Score(ctx, open, func(i int, a likelihood.Answer) error {
		answers[keys[i]] = a
		p.Requests, p.Tokens = p.Requests+1, p.Tokens+tokensOf(open[i])
		e.tell(p)
		return e.Journal.keep(keys[i], a)
	})
	return answers, err
}

func (e Evaluation) tell(p Progress) {
	if e.Progress != nil {
		e.Progress(p)
	}
}

func tokensOf(r likelihood.Request) int64 { return int64(len(r.Context) + len(r.Continuation)) }

// judge makes metrics of answers.
func (e Evaluation) judge(s *Set, answers map[key]likelihood.Answer) (Outcome, error) {
	o := Outcome{Set: s}
	metrics := s.Task.output.metrics
	all := make([][]any, len(metrics))
	choices := 0.0
	for _, a := range s.asked {
		one := sample{asked: a}
		for _, r := range a.requests {
			one.answers = append(one.answers, answers[keyOf(r)])
		}
		if s.Task.Data.pages != "" { // a page's requests are one question
			var page likelihood.Answer
			for _, answer := range one.answers {
				page.LogLikelihood += answer.LogLikelihood
			}
			one.answers = []likelihood.Answer{page}
		}
		for i, m := range metrics {
			v := m.of(a.Document, one.answers)
			one.values, all[i] = append(one.values, v), append(all[i], v)
		}
		o.samples = append(o.samples, one)
		if len(a.Continuations) > 1 {
			choices += 1 / float64(len(a.Continuations))
		}
	}
	o.Chance = choices / float64(len(s.asked))
	for i, m := range metrics {
		v := Value{Name: m.name, Higher: m.higher}
		if v.Value, v.StdErr = m.all(all[i], e.Resamples); math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
			return o, fmt.Errorf("%s is %v: it is not a finite number", m.name, v.Value)
		}
		o.Metrics = append(o.Metrics, v)
	}
	return o, nil
}
