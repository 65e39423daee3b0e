package eval

import (
	"context"
	"errors"
	"fmt"
	"math"

	"steplm/data/examples"
	"steplm/model"
)

// Examples is the loss of answers on examples, in their own order, in the windows that training makes of them. Its
// perplexity is per token that counts.
func Examples(name string, s *examples.Set, pack bool) Task { return examplesTask{name, s, pack} }

type examplesTask struct {
	name string
	set  *examples.Set
	pack bool
}

func (t examplesTask) Name() string { return t.name }

// Run scores micro-batches until MaxTokens targets are scored, to the end of a micro-batch.
func (t examplesTask) Run(ctx context.Context, m Model, o Options) (Result, error) {
	if m.Batch() < 1 || m.SeqLen() < t.set.SeqLen {
		return Result{}, fmt.Errorf("eval: examples of up to %d tokens need windows of as many, not %d", t.set.SeqLen,
			m.SeqLen())
	}
	r := PerplexityResult{Context: m.SeqLen(), Stride: m.SeqLen()}
	if masked, ok := m.(Masked); ok {
		r.Within = masked.Documents()
	}
	if t.pack && r.Within.Mask != model.MaskDocuments {
		return Result{}, errors.New("eval: packed examples need a model that keeps attention inside documents")
	}
	l := examples.Layout{BatchSize: m.Batch(), SeqLen: m.SeqLen(), GradAccum: 1, Pack: t.pack}
	windows := l.InOrder(t.set)
	for at := 0; at < len(windows) && (o.MaxTokens == 0 || r.Tokens < o.MaxTokens); at += l.BatchSize {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		some := windows[at:min(len(windows), at+l.BatchSize)]
		b := l.Whole(t.set.Examples, some)
		losses, err := m.Losses(b.Inputs, b.Targets, b.Begins)
		if err != nil {
			return Result{}, err
		}
		for i, loss := range losses {
			if b.Targets[i] == Ignored {
				continue
			}
			if x := float64(loss); math.IsNaN(x) || math.IsInf(x, 0) {
				return Result{}, fmt.Errorf("%w: a loss of %v; the model has diverged", ErrNotFinite, x)
			}
			r.NLL += float64(loss)
			r.Tokens++
		}
		for _, w := range some {
			r.Documents += int64(len(w))
		}
		o.share = func(int64) float64 { return float64(min(len(windows), at+l.BatchSize)) / float64(len(windows)) }
		o.hear(r.Tokens)
	}
	var err error
	r.Perplexity, err = exp(r.NLL / float64(r.Tokens))
	return r.result(t.name), err
}
