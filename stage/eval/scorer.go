package eval

import (
	"context"
	"fmt"
	"math"
)

// scorer gathers windows into the model's batches and adds their losses up.
type scorer struct {
	ctx      context.Context
	model    Model
	progress func(tokens int64)

	inputs, targets, begins []uint32 // (B, T)
	rows                    int      // windows waiting in them

	nll    float64 // nats over all scored targets
	tokens int64   // scored targets
}

func newScorer(ctx context.Context, m Model, progress func(int64)) *scorer {
	n := m.Batch() * m.SeqLen()
	s := &scorer{ctx: ctx, model: m, progress: progress, inputs: make([]uint32, n), targets: make([]uint32, n),
		begins: make([]uint32, n)}
	s.clear()
	return s
}

// clear leaves a batch in which nothing counts; id 0 exists in every vocabulary.
func (s *scorer) clear() {
	clear(s.inputs)
	clear(s.begins)
	for i := range s.targets {
		s.targets[i] = Ignored
	}
	s.rows = 0
}

// add takes one window of at most T positions, of one document where begins is nil; of its targets the
// first skip are context and do not count.
func (s *scorer) add(inputs, targets, begins []uint32, skip int) error {
	at := s.rows * s.model.SeqLen()
	if n := copy(s.begins[at:], begins); n > 0 { // what pads the window is of its last document
		for i := n; i < s.model.SeqLen(); i++ {
			s.begins[at+i] = begins[n-1]
		}
	}
	copy(s.inputs[at:], inputs)
	copy(s.targets[at+skip:], targets[skip:])
	s.rows++
	if s.rows == s.model.Batch() {
		return s.flush()
	}
	return nil
}

// flush scores the windows that wait, if there are any.
func (s *scorer) flush() error {
	if s.rows == 0 {
		return nil
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	losses, err := s.model.Losses(s.inputs, s.targets, s.begins)
	if err != nil {
		return fmt.Errorf("eval: losses after %d tokens: %w", s.tokens, err)
	}
	if len(losses) != len(s.targets) {
		return fmt.Errorf("eval: the model gave %d losses for %d targets", len(losses), len(s.targets))
	}
	for i, target := range s.targets {
		if target == Ignored {
			continue
		}
		loss := float64(losses[i])
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return fmt.Errorf("%w: the loss of scored token %d (id %d) is %v; the model has diverged", ErrNotFinite,
				s.tokens, target, loss)
		}
		s.nll += loss
		s.tokens++
	}
	s.clear()
	s.progress(s.tokens)
	return nil
}
