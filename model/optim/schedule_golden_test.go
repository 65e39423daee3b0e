package optim

import (
	"math"
	"testing"
)

// goldenSchedule is one of the shared data's: factor multiplies the peak rate in each of the
// steps, or in all from the first on.
type goldenSchedule struct {
	Name, Kind   string
	T            int
	Warmup       int
	Stable       int
	Decay        string
	DecaySteps   int     `json:"decay_steps"`
	MinRatio     float64 `json:"min_ratio"`
	FirstWarmup  int     `json:"first_warmup"`
	Restart      int     `json:"restart_warmup"`
	RestartEvery int     `json:"restart_every"`
	AdjustStep   int     `json:"adjust_step"`
	FirstStep    int     `json:"first_step"`
	Steps        []int
	Factor       []float64
}

// follow compares a schedule with the golden one from a step on, up to the end of its decay.
func (g goldenSchedule) follow(t *testing.T, s Schedule, from int) {
	t.Helper()
	if err := s.Validate(); err != nil {
		t.Fatalf("%s: %v", g.Name, err)
	}
	compared := 0
	for i, want := range g.Factor {
		step := g.FirstStep + i
		if g.Steps != nil {
			step = g.Steps[i]
		}
		// A cosine beyond its end is a run that goes on, where theirs rises again.
		if step < from || g.Kind != WSD && step >= s.Courses[0].What.Steps {
			continue
		}
		if got := s.At(step); !(math.Abs(got-want) <= 1e-6) {
			t.Errorf("%s, step %d: %g, want %g", g.Name, step, got, want)
		}
		compared++
	}
	if compared < len(g.Factor)/2 {
		t.Errorf("%s: %d of %d steps were compared", g.Name, compared, len(g.Factor))
	}
}

// Cosines and WSDs of the shared data's schedules, from step to step. Their warm-ups begin at 0, or at the
// minimum, ours a step further and from 0, so that no step has rate 0: they meet where the peak is.
func TestCoursesGolden(t *testing.T) {
	var golden struct{ Schedules []goldenSchedule }
	readGolden(t, "schedules.json", &golden)
	seen := map[string]int{}
	for _, g := range golden.Schedules {
		c := Course{Kind: g.Kind, Steps: g.T, MinRatio: g.MinRatio}
		if g.Kind == WSD {
			c.Steps, c.Decay, c.Shape = g.Warmup+g.Stable+g.DecaySteps, g.DecaySteps, g.Decay
		}
		s := Schedule{Courses: []Begun[Course]{{0, c}}}
		if g.Warmup > 0 {
			s.Warmups = []Begun[Warmup]{{0, Warmup(g.Warmup)}}
		}
		g.follow(t, s, g.Warmup)
		for step := range g.Warmup {
			rise := func(x float64) float64 { // from their beginning
				return (x - g.Factor[0]) / (1 - g.Factor[0])
			}
			if got, want := s.At(step), rise(g.Factor[step+1]); math.Abs(got-want) > 1e-6 {
				t.Errorf("%s, step %d of the warm-up: %g, theirs a step later %g", g.Name, step, got, want)
			}
		}
		seen[g.Kind]++
	}
	if seen[Cosine] == 0 || seen[WSD] == 0 || len(seen) != 2 {
		t.Errorf("schedules of %v", seen)
	}
}

// ReLoRA's cosine with restarts, warm-ups included: rate 0 is in it.
func TestJaggedGolden(t *testing.T) {
	var golden struct{ Schedules []goldenSchedule }
	readGolden(t, "relora_schedule.json", &golden)
	if len(golden.Schedules) == 0 {
		t.Error("no schedule was compared")
	}
	for _, g := range golden.Schedules {
		g.follow(t, Schedule{Courses: []Begun[Course]{{0, Course{
			Kind: Jagged, Steps: g.T, MinRatio: g.MinRatio, First: g.FirstWarmup, Every: g.RestartEvery,
			Rewarm: g.Restart, Shift: g.AdjustStep,
		}}}}, 0)
	}
}
