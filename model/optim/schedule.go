package optim

import (
	"fmt"
	"math"
)

// The kinds of schedule, as recipes spell them.
const (
	Cosine   = "cosine"
	Constant = "constant"
)

// Schedule is the course of the learning rate over one stage, as a multiplier
// of its peak: a linear warm-up, then a half cosine down to MinRatio, or no
// decay. A stage that starts over at step 0 of a schedule of its own thereby
// warms up again. Steps is the length of the full decay; a stage may be cut
// short by growth before it.
type Schedule struct {
	Kind     string  `json:"kind"`      // Cosine or Constant
	Warmup   int     `json:"warmup"`    // steps, 0 <= Warmup <= Steps
	Steps    int     `json:"steps"`     // steps, warm-up included, at least 1
	MinRatio float64 `json:"min_ratio"` // in [0, 1]; Constant never decays to it
}

// Validate reports the first field that is out of range. At relies on it.
func (s Schedule) Validate() error {
	switch {
	case s.Kind != Cosine && s.Kind != Constant:
		return fmt.Errorf("unknown learning-rate schedule %q: choose one of %s, %s", s.Kind, Cosine, Constant)
	case s.Steps < 1:
		return fmt.Errorf("learning-rate schedule of %d steps: it needs at least 1", s.Steps)
	case s.Warmup < 0 || s.Warmup > s.Steps:
		return fmt.Errorf("learning-rate warm-up of %d steps in a schedule of %d: it must be between 0 and %d", s.Warmup, s.Steps, s.Steps)
	case !(s.MinRatio >= 0 && s.MinRatio <= 1): // so that NaN fails
		return fmt.Errorf("learning-rate minimum ratio %g: it must be between 0 and 1", s.MinRatio)
	}
	return nil
}

// At is the multiplier of the peak rate for 0-based step:
//
//	step < Warmup    (step+1) / Warmup
//	otherwise        MinRatio + (1-MinRatio)·(1 + cos(π·(step-Warmup)/(Steps-Warmup)))/2
//
// for Cosine, with MinRatio from step Steps on, and 1 after the warm-up for
// Constant. No step of the warm-up has rate 0, and its last one has the peak.
func (s Schedule) At(step int) float64 {
	switch {
	case step < s.Warmup:
		return float64(step+1) / float64(s.Warmup)
	case s.Kind == Constant:
		return 1
	case step >= s.Steps:
		return s.MinRatio
	}
	progress := float64(step-s.Warmup) / float64(s.Steps-s.Warmup)
	return s.MinRatio + (1-s.MinRatio)*(1+math.Cos(math.Pi*progress))/2
}
