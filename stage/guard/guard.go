// Package guard notices spikes: steps whose loss, or gradient norm, is far above that of the steps before them, or no
// number at all. What a run does at one is the run's own business.
//
// What Go cannot enforce: that every step is seen once, in order, and that whoever goes back to a checkpoint takes up
// the memory that lies in it, but for what it then knows of steps to skip.
package guard

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"steplm/model/advice"
	"steplm/stage/recipe"
)

// Memory is what a guard remembers. It is in every checkpoint, so that a resumed run sees the same spikes.
type Memory struct {
	Losses    []float64 `json:"losses,omitempty"` // of the last steps of the stage
	Norms     []float64 `json:"norms,omitempty"`
	Skipped   []int     `json:"skipped,omitempty"` // 0-based steps before which a step's batches are left out
	Rollbacks int       `json:"rollbacks,omitempty"`
}

// Spike is a step that a guard does not let pass.
type Spike struct {
	Step                   int // 1-based
	Loss, Norm             float64
	MedianLoss, MedianNorm float64 // of the steps before
	// Ways are what would help.
	Ways []advice.Way
}

func (s *Spike) Error() string {
	return fmt.Sprintf("step %d is a spike: its loss is %.4g and its gradient norm %.4g, where the medians of the "+
		"steps before are %.4g and %.4g; what it did is thrown away, and the last checkpoint is whole", s.Step, s.Loss,
		s.Norm, s.MedianLoss, s.MedianNorm)
}

// Unwrap is what would help.
func (s *Spike) Unwrap() error { return advice.With(errors.New("a spike"), s.Ways...) }

// Finite reports whether loss and norm are numbers.
func (s *Spike) Finite() bool { return finite(s.Loss, s.Norm) }

func finite(loss, norm float64) bool {
	sum := loss + norm
	return !math.IsNaN(sum) && !math.IsInf(sum, 0)
}

// See takes note of a step's loss and norm, or returns the Spike that they are. Ones that are not finite always are.
func (m *Memory) See(g recipe.Guard, step int, loss, norm float64) error {
	spike := &Spike{Step: step, Loss: loss, Norm: norm, MedianLoss: median(m.Losses), MedianNorm: median(m.Norms)}
	above := loss > g.Loss*spike.MedianLoss || norm > g.Norm*spike.MedianNorm
	if !finite(loss, norm) || above && len(m.Losses) >= g.Least() {
		return spike
	}
	last := func(list []float64, x float64) []float64 {
		list = append(list, x)
		return slices.Clone(list[max(0, len(list)-g.Window):])
	}
	m.Losses, m.Norms = last(m.Losses, loss), last(m.Norms, norm)
	return nil
}

// BeginStage forgets the steps of the stage before: a growth's loss is no spike.
func (m *Memory) BeginStage() { m.Losses, m.Norms = nil, nil }

// Skips is how many steps' batches are left out before a step, counted from 0.
func (m *Memory) Skips(step int) (n int) {
	for _, s := range m.Skipped {
		if s == step {
			n++
		}
	}
	return n
}

// GoBack is the memory of a checkpoint, once the run has gone back to it from a spike: whatever it knew of earlier
// ones, it knows what the run knew.
func (m *Memory) GoBack(to Memory, s *Spike) {
	to.Skipped = append(slices.Clone(m.Skipped), s.Step-1)
	to.Rollbacks = m.Rollbacks + 1
	*m = to
}

// median is that of any number of values, 0 of none.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
