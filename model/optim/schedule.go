package optim

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Course is how the learning rate goes on from its peak. Kind says how, and which of the other
// fields it reads, see Courses; the rest must be zero.
type Course struct {
	Kind string `json:"kind"`
	// Steps is the length of the whole course, with the warm-up that begins it, at least 1; the
	// run may end it sooner, by its end or by another course.
	Steps    int     `json:"steps"`
	MinRatio float64 `json:"min_ratio"` // what it decays to, in [0, 1]

	Decay int    `json:"decay,omitempty"` // WSD's: in how many of its last steps it decays
	Shape string `json:"shape,omitempty"` // WSD's: how

	First  int `json:"first_warmup,omitempty"`   // Jagged's: steps of the warm-up at its beginning
	Every  int `json:"restart_every,omitempty"`  // Jagged's: steps between restarts
	Rewarm int `json:"restart_warmup,omitempty"` // Jagged's: steps of the warm-up after each
	Shift  int `json:"restart_shift,omitempty"`  // Jagged's: by how many steps restarts come sooner
}

// kind is one sort of course.
type kind struct {
	name string
	// floor is what it decays to where nothing is said.
	floor float64
	// own is the course without the fields that this kind alone reads, and what is wrong with them.
	own func(c Course) (Course, error)
	// at is the multiplier in step n of the course, counted from 0, of which the first warmup are
	// a warm-up that is over.
	at func(c Course, n, warmup int) float64
}

// kinds lists the courses, each in a file of its own, course_<name>.go.
var kinds = []kind{cosineCourse, linearCourse, constantCourse, wsdCourse, jaggedCourse}

// Courses are the kinds' names.
func Courses() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// MinRatio is what a kind of course decays to where nothing is said, as a share of its peak.
func MinRatio(name string) float64 {
	k, _ := findKind(name)
	return k.floor
}

func findKind(name string) (kind, bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
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
	k, ok := findKind(c.Kind)
	switch {
	case !ok:
		return fmt.Errorf("unknown learning-rate schedule %q: choose one of %s", c.Kind, strings.Join(Courses(), ", "))
	case c.Steps < 1:
		return fmt.Errorf("learning-rate schedule of %d steps: it needs at least 1", c.Steps)
	case !(c.MinRatio >= 0 && c.MinRatio <= 1): // so that NaN fails
		return fmt.Errorf("learning-rate minimum ratio %g: it must be between 0 and 1", c.MinRatio)
	}
	rest, err := k.own(c)
	if err == nil && rest != (Course{Kind: c.Kind, Steps: c.Steps, MinRatio: c.MinRatio}) {
		err = fmt.Errorf("learning-rate schedule %s has fields of another one: %+v", c.Kind, c)
	}
	return err
}

// plain is own of a kind that reads no field alone.
func plain(c Course) (Course, error) { return c, nil }

// down is the peak where x is 1, and the minimum where it is 0.
func (c Course) down(x float64) float64 { return c.MinRatio + (1-c.MinRatio)*x }

// halfCosine falls from 1 to 0 while p goes from 0 to 1.
func halfCosine(p float64) float64 { return (1 + math.Cos(math.Pi*p)) / 2 }

// Validate reports the first thing that is out of range. At relies on it.
func (s Schedule) Validate() error {
	if len(s.Courses) == 0 || s.Courses[0].From != 0 {
		return fmt.Errorf("no learning-rate schedule begins at the first step")
	}
	for _, c := range s.Courses {
		if err := c.What.Validate(); err != nil {
			return err
		}
		w := s.warmup(c)
		if w > 0 && c.What.Kind == Jagged {
			return fmt.Errorf("learning-rate schedule %s has a warm-up of its own: it cannot begin with one of %d "+
				"steps", Jagged, w)
		}
		if w > c.What.Steps-c.What.Decay {
			return fmt.Errorf("learning-rate warm-up of %d steps in a schedule of %d: it must be between 0 and %d",
				w, c.What.Steps, c.What.Steps-c.What.Decay)
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
// began with a warm-up of w, (n+1)/w for n < w, and what the course says from then on; times
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
	if step < warmup {
		return float64(step+1) / float64(warmup)
	}
	k, _ := findKind(c.Kind)
	return k.at(c, step, warmup)
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
