// Package eval answers how good a language model is, by tasks: the perplexity of a
// stream of tokens, WikiText's word perplexity, and what else a file task_<name>.go
// measures. A task asks a Model three questions, see questions.go, or has windows of a
// stream scored. A Model knows nothing of devices, so that a trainer can lend the
// buffers it already has and a test can give a table of bigrams.
//
// A number says nothing without its protocol, so every Result carries it. Losses are
// natural logarithms, added up in float64 in the order of the stream.
//
// What Go cannot enforce: a Model must be causal. Short windows are padded
// behind their end, and what a model makes of the padding must not change the
// losses before it.
package eval

import (
	"errors"
	"fmt"
	"math"

	"steplm/data"
	"steplm/model"
)

// Ignored is the target that counts for nothing: its loss is 0.
const Ignored uint32 = data.Ignored

// ErrNotFinite is what an evaluation returns when a loss, or the perplexity
// made from the losses, is NaN or infinite: a number that no report and no
// JSON could carry. The model has diverged; the evaluation itself is in order.
var ErrNotFinite = errors.New("eval: not a finite number")

// Model scores windows of token ids. One that can also generate is a Generator.
type Model interface {
	// Batch is the number of windows that Losses takes at once, B >= 1.
	Batch() int
	// SeqLen is the number of positions of one window, T >= 1.
	SeqLen() int
	// Losses gives -ln p(targets[b,t] | inputs[b,0..t]) for every position,
	// 0 where the target is Ignored. All four are (B, T), row-major; begins says where
	// documents begin, as a data.Batch does (nil: every window is one), to a model that is Masked.
	Losses(inputs, targets, begins []uint32) ([]float32, error)
}

// Masked is a Model that may keep attention inside documents, or count positions in each.
type Masked interface{ Documents() model.Documents }

// Options say how a stream is cut and how much of it is read.
type Options struct {
	// Context is the number of positions of a window; 0 means the model's SeqLen.
	Context int
	// Stride is how far one window's start lies behind the last one's; 0 means
	// Context: disjoint windows. WikiText has its own windows and ignores it.
	Stride int
	// MaxTokens ends the evaluation early; 0 means all.
	MaxTokens int64
	// Progress, if not nil, hears after every batch how many tokens are scored, and
	// how much of the whole a task has got through, from 0 to 1; 0 where that is not
	// known.
	Progress func(tokens int64, share float64)

	// share, unless nil, is how much of the whole is done when so many tokens are scored.
	share func(tokens int64) float64
}

// Whole is about how many tokens an evaluation scores that has scored n, a share of all there are (0: unknown), and
// ends at MaxTokens; 0 where that cannot be known.
func (o Options) Whole(n int64, share float64) int64 {
	if share <= 0 {
		return o.MaxTokens
	}
	all := int64(float64(n)/share + 0.5)
	if o.MaxTokens > 0 {
		all = min(all, o.MaxTokens)
	}
	return max(all, n)
}

// hear tells Progress.
func (o Options) hear(tokens int64) {
	if o.Progress == nil {
		return
	}
	share := 0.0
	if o.share != nil {
		share = o.share(tokens)
	}
	o.Progress(tokens, share)
}

// resolve fills in what was left at zero and refuses what the model cannot do.
func (o Options) resolve(m Model) (Options, error) {
	if m.Batch() < 1 || m.SeqLen() < 1 {
		return o, fmt.Errorf("eval: the model scores %d windows of %d positions; both must be at least 1", m.Batch(),
			m.SeqLen())
	}
	if o.Context == 0 {
		o.Context = m.SeqLen()
	}
	if o.Context < 1 || o.Context > m.SeqLen() {
		return o, fmt.Errorf("eval: context %d is not within 1..%d, the positions of the model's windows", o.Context,
			m.SeqLen())
	}
	if o.Stride == 0 {
		o.Stride = o.Context
	}
	if o.Stride < 1 || o.Stride > o.Context {
		return o, fmt.Errorf("eval: stride %d is not within 1..%d, the context; a longer one would leave tokens out",
			o.Stride, o.Context)
	}
	if o.MaxTokens < 0 {
		return o, fmt.Errorf("eval: %d tokens to score; want 0 (all) or more", o.MaxTokens)
	}
	return o, nil
}

// exp is math.Exp with an error instead of an infinity.
func exp(nats float64) (float64, error) {
	p := math.Exp(nats)
	if math.IsInf(p, 0) || math.IsNaN(p) {
		return 0, fmt.Errorf("%w: the perplexity e^%g; the model has diverged", ErrNotFinite, nats)
	}
	return p, nil
}
