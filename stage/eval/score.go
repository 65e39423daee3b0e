package eval

import (
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

// Score gives ln p(ids[i] | ids[0..i-1]) for every i but the first, in one
// window and therefore with the whole text before a token as its context.
// More ids than the model's SeqLen are an error: cutting them up would change
// what the numbers mean.
func Score(m Model, ids []uint32) (LogProbs, error) {
	switch {
	case len(ids) == 0:
		return nil, fmt.Errorf("eval: no tokens to score; give at least one")
	case len(ids) > m.SeqLen():
		return nil, fmt.Errorf("eval: %d tokens do not fit the model's context of %d; shorten the text", len(ids), m.SeqLen())
	}
	n := m.Batch() * m.SeqLen()
	inputs, targets := make([]uint32, n), make([]uint32, n)
	for i := range targets {
		targets[i] = Ignored
	}
	copy(inputs, ids)
	copy(targets, ids[1:])

	losses, err := m.Losses(inputs, targets)
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
			return nil, fmt.Errorf("%w: the loss of token %d (id %d) is %v; the model has diverged", ErrNotFinite, i, ids[i], loss)
		}
		p[i] = -loss
	}
	return p, nil
}
