package eval

import (
	"context"
	"errors"
	"iter"
	"sort"

	"steplm/model"
)

// PerplexityResult is a token perplexity with the protocol it was measured by.
type PerplexityResult struct {
	Perplexity float64 // e^(NLL/Tokens)
	NLL        float64 // nats, the sum over Tokens
	Tokens     int64   // scored targets
	Documents  int64   // read; under MaxTokens the last perhaps in part
	Context    int
	Stride     int
	Within     model.Documents // what the model makes of documents in a window
}

func (r PerplexityResult) result(task string) Result {
	return Result{task, map[string]Metric{
		perplexityMetric: {Value: r.Perplexity}, "nll": {Value: r.NLL},
		tokensMetric: count(r.Tokens), "documents": count(r.Documents),
	}, Protocol{Unit: "token", Context: r.Context, Stride: r.Stride, Documents: r.Within}}
}

// Encoded turns texts into documents for Perplexity: each one's ids, then
// endOfText, as training packs them.
func Encoded(texts iter.Seq2[string, error], encode func(string) ([]uint32, error),
	endOfText uint32) iter.Seq2[[]uint32, error] {
	return func(yield func([]uint32, error) bool) {
		for text, err := range texts {
			if err != nil {
				yield(nil, err)
				return
			}
			ids, err := encode(text)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(append(ids[:len(ids):len(ids)], endOfText), nil) {
				return
			}
		}
	}
}

// Perplexity scores the stream that the documents' ids make end to end (they
// bring their end-of-text tokens, see Encoded). Attention crosses documents, unless the
// model is Masked and says otherwise.
//
// Window k reads the positions from k*stride on, at most context of them, and
// predicts each one's successor. Every token but the stream's first is scored
// exactly once, by the first window that reaches it: the first window counts
// all its targets, a later one its last stride. With stride == context the
// windows are disjoint, those of training in stream order, and a token is
// predicted from anything between 1 and context tokens; with a smaller stride
// from at least context-stride+1 of them (the first window apart), at
// context/stride times the cost. MaxTokens scores exactly the first MaxTokens.
//
// It is an error when nothing is left to score, and ErrNotFinite when the
// model has diverged.
func Perplexity(ctx context.Context, m Model, docs iter.Seq2[[]uint32, error], o Options) (PerplexityResult, error) {
	o, err := o.resolve(m)
	if err != nil {
		return PerplexityResult{}, err
	}
	r := PerplexityResult{Context: o.Context, Stride: o.Stride}
	if masked, ok := m.(Masked); ok {
		r.Within = masked.Documents()
	}
	s := newScorer(ctx, m, o.hear)
	w := windows{options: o, add: s.add}
	for ids, err := range docs {
		if err != nil {
			return PerplexityResult{}, err
		}
		r.Documents++
		if err := w.push(ids); err != nil {
			return PerplexityResult{}, err
		}
		if w.full() {
			break
		}
	}
	if err := w.end(); err != nil {
		return PerplexityResult{}, err
	}
	if err := s.flush(); err != nil {
		return PerplexityResult{}, err
	}
	if s.tokens == 0 {
		return PerplexityResult{}, errors.New(
			"eval: the stream holds fewer than two tokens, so there is nothing to score; is the data set empty?")
	}
	r.Tokens, r.NLL = s.tokens, s.nll
	r.Perplexity, err = exp(r.NLL / float64(r.Tokens))
	return r, err
}

// windows cuts a stream of ids into overlapping windows.
type windows struct {
	options Options // resolved
	add     func(inputs, targets, begins []uint32, skip int) error

	held    []uint32 // the stream from the next window's start on
	begins  []int    // ids of held with which a document begins, ascending
	skip    int      // leading targets of the next window that were scored before
	planned int64    // targets handed to add
}

// full says that MaxTokens targets are planned: nothing more is wanted.
func (w *windows) full() bool {
	return w.options.MaxTokens > 0 && w.planned >= w.options.MaxTokens
}

// push takes the ids of one document.
func (w *windows) push(ids []uint32) error {
	w.begins = append(w.begins, len(w.held))
	for len(ids) > 0 && !w.full() {
		n := min(len(ids), w.options.Context+1-len(w.held))
		w.held = append(w.held, ids[:n]...)
		ids = ids[n:]
		if len(w.held) <= w.options.Context {
			return nil
		}
		if err := w.emit(); err != nil {
			return err
		}
		kept := copy(w.held, w.held[w.options.Stride:])
		w.held = w.held[:kept]
		for i := range w.begins {
			w.begins[i] -= w.options.Stride
		}
		w.begins = w.begins[max(0, sort.SearchInts(w.begins, 1)-1):] // the last of those begun tells no more than 0
		w.skip = w.options.Context - w.options.Stride
	}
	return nil
}

// end hands on the last, shorter window, unless all its targets were scored.
func (w *windows) end() error {
	if w.full() || len(w.held)-1 <= w.skip {
		return nil
	}
	return w.emit()
}

func (w *windows) emit() error {
	n := len(w.held) - 1
	if limit := w.options.MaxTokens; limit > 0 {
		n = int(min(int64(n), int64(w.skip)+limit-w.planned))
	}
	w.planned += int64(n - w.skip)
	begins := make([]uint32, n)
	for i, from := range w.begins {
		to := n
		if i+1 < len(w.begins) {
			to = min(n, w.begins[i+1])
		}
		for at := max(0, from); at < to; at++ {
			begins[at] = uint32(max(0, from))
		}
	}
	return w.add(w.held[:n], w.held[1:n+1], begins, w.skip)
}
