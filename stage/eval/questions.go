package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// LogProbs are natural-log probabilities, one per token. The first token has
// none, for nothing comes before it: it is NaN here and null in JSON.
type LogProbs []float64

// MarshalJSON writes null for NaN, which JSON has no number for.
func (p LogProbs) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, v := range p {
		if i > 0 {
			b = append(b, ',')
		}
		switch {
		case math.IsNaN(v):
			b = append(b, "null"...)
		case math.IsInf(v, 0):
			return nil, fmt.Errorf("%w: log-probability %d is %v", ErrNotFinite, i, v)
		default:
			b = strconv.AppendFloat(b, v, 'g', -1, 64)
		}
	}
	return append(b, ']'), nil
}

// ScoreText gives ln p(ids[i] | ids[0..i-1]) for every i but the first, in one
// window and therefore with the whole text before a token as its context.
// More ids than the model's SeqLen and the one that follows are an error: cutting
// them up would change what the numbers mean.
func ScoreText(m Model, ids []uint32) (LogProbs, error) {
	switch {
	case len(ids) == 0:
		return nil, fmt.Errorf("eval: no tokens to score; give at least one")
	case len(ids) > m.SeqLen()+1:
		return nil,
			fmt.Errorf("eval: %d tokens do not fit the model's context of %d and the one after it; shorten the text",
				len(ids), m.SeqLen())
	}
	n := m.Batch() * m.SeqLen()
	inputs, targets := make([]uint32, n), make([]uint32, n)
	for i := range targets {
		targets[i] = Ignored
	}
	copy(inputs, ids) // The last has no input where it is the one after.
	copy(targets, ids[1:])

	losses, err := m.Losses(inputs, targets, nil)
	if err != nil {
		return nil, fmt.Errorf("eval: score %d tokens: %w", len(ids), err)
	}
	if len(losses) != n {
		return nil, fmt.Errorf("eval: the model gave %d losses for %d targets", len(losses), n)
	}
	p := make(LogProbs, len(ids))
	p[0] = math.NaN()
	for i := 1; i < len(ids); i++ {
		loss := float64(losses[i-1])
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return nil, fmt.Errorf("%w: the loss of token %d (id %d) is %v; the model has diverged",
				ErrNotFinite, i, ids[i], loss)
		}
		p[i] = -loss
	}
	return p, nil
}

// ScoreContinuation gives ln p(continuation | prompt), the sum over the continuation's tokens.
// Neither may be empty, and both together must fit the model's SeqLen.
func ScoreContinuation(m Model, prompt, continuation []uint32) (float64, error) {
	if len(prompt) == 0 || len(continuation) == 0 {
		return 0, fmt.Errorf("eval: a continuation of %d tokens after a prompt of %d: both need at least one",
			len(continuation), len(prompt))
	}
	p, err := ScoreText(m, append(prompt[:len(prompt):len(prompt)], continuation...))
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, x := range p[len(prompt):] {
		sum += x
	}
	return sum, nil
}

// Generator is a Model that can continue a text.
type Generator interface {
	// Continue gives the likeliest tokens after a prompt, one after another: at most so many. Where
	// one of stops comes, it is the last.
	Continue(ctx context.Context, prompt []uint32, most int, stops []uint32) ([]uint32, error)
}

// ErrNotYet is a question that a model cannot answer.
var ErrNotYet = errors.New("eval: this model cannot continue a text yet: it scores texts only")

// ContinueText has the model continue a text, see Generator, or returns ErrNotYet.
func ContinueText(ctx context.Context, m Model, prompt []uint32, most int, stops []uint32) ([]uint32, error) {
	g, ok := m.(Generator)
	if !ok {
		return nil, ErrNotYet
	}
	return g.Continue(ctx, prompt, most, stops)
}
