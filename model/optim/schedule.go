package optim

import (
	"fmt"
	"math"
	"slices"
)

// The kinds of course, as recipes spell them.
const (
	Cosine   = "cosine"
	Constant = "constant"
)

// Course is how the learning rate goes on from its peak: half a cosine down to MinRatio of
// it, or no decay. Steps is the length of the full decay, with the warm-up that begins it;
// the run may end it sooner, by its end or by another course.
type Course struct {
	Kind     string  `json:"kind"`      // Cosine or Constant
	Steps    int     `json:"steps"`     // at least 1
	MinRatio float64 `json:"min_ratio"` // in [0, 1]; Constant never decays to it
}

// Schedule is the learning rate over a run, as a multiplier of its peak: courses, the first
// from step 0 on, and warm-ups. A warm-up that begins with a course comes before its decay;
// any other multiplies the course that is running.
type Schedule struct {
	Courses []Begun[Course] // each until the next one begins
	Warmups []Begun[Warmup]
}

// Warmup is so many steps, at least 1, in which the rate rises in a line. None of them has
// rate 0, and the last one all of the rate.
type Warmup int

// Begun is something from a 0-based step on. Lists of them ascend.
type Begun[T any] struct {
	From int
	What T
}

// Validate reports the first field that is out of range.
func (c Course) Validate() error {
	switch {
	case c.Kind != Cosine && c.Kind != Constant:
		return fmt.Errorf("unknown learning-rate schedule %q: choose one of %s, %s", c.Kind, Cosine, Constant)
	case c.Steps < 1:
		return fmt.Errorf("learning-rate schedule of %d steps: it needs at least 1", c.Steps)
	case !(c.MinRatio >= 0 && c.MinRatio <= 1): // so that NaN fails
		return fmt.Errorf("learning-rate minimum ratio %g: it must be between 0 and 1", c.MinRatio)
	}
	return nil
}

// Validate reports the first thing that is out of range. At relies on it.
func (s Schedule) Validate() error {
	if len(s.Courses) == 0 || s.Courses[0].From != 0 {
		return fmt.Errorf("no learning-rate schedule begins at the first step")
	}
	for _, c := range s.Courses {
		if err := c.What.Validate(); err != nil {
			return err
		}
		if w := s.warmup(c); w > c.What.Steps {
			return fmt.Errorf("learning-rate warm-up of %d steps in a schedule of %d: it must be between 0 and %d",
				w, c.What.Steps, c.What.Steps)
		}
	}
	for _, w := range s.Warmups {
		if w.What < 1 {
			return fmt.Errorf("learning-rate warm-up of %d steps: it needs at least 1", w.What)
		}
	}
	return nil
}

// At is the multiplier for 0-based step: of the course that is running, n steps after it
// began with a warm-up of w,
//
//	n < w        (n+1) / w
//	otherwise    MinRatio + (1-MinRatio)·(1 + cos(π·(n-w)/(Steps-w)))/2
//
// for Cosine, with MinRatio from n = Steps on, and 1 after the warm-up for Constant; times
// (k+1)/v in step k of a warm-up of v that began later.
func (s Schedule) At(step int) float64 {
	c, _ := running(s.Courses, step)
	rate := c.What.at(step-c.From, s.warmup(c))
	if w, ok := running(s.Warmups, step); ok && w.From > c.From && step-w.From < int(w.What) {
		rate *= float64(step-w.From+1) / float64(w.What)
	}
	return rate
}

func (c Course) at(step, warmup int) float64 {
	switch {
	case step < warmup:
		return float64(step+1) / float64(warmup)
	case c.Kind == Constant:
		return 1
	case step >= c.Steps:
		return c.MinRatio
	}
	progress := float64(step-warmup) / float64(c.Steps-warmup)
	return c.MinRatio + (1-c.MinRatio)*(1+math.Cos(math.Pi*progress))/2
}

// warmup is the length of that with which a course begins.
func (s Schedule) warmup(c Begun[Course]) int {
	if w, ok := running(s.Warmups, c.From); ok && w.From == c.From {
		return int(w.What)
	}
	return 0
}

// running is the last one that has begun by a step.
func running[T any](list []Begun[T], step int) (b Begun[T], ok bool) {
	for _, x := range slices.Backward(list) {
		if x.From <= step {
			return x, true
		}
	}
	return b, false
}
