package optim

import (
	"math"
	"strings"
	"testing"
)

// one is a schedule of a single course.
func one(kind string, warmup, steps int, minRatio float64) Schedule {
	s := Schedule{Courses: []Begun[Course]{{0, Course{Kind: kind, Steps: steps, MinRatio: minRatio}}}}
	if warmup != 0 {
		s.Warmups = []Begun[Warmup]{{0, Warmup(warmup)}}
	}
	return s
}

// two is a course of its own from step 3 on, as STEP has it at a growth.
func two(warmup int) Schedule {
	s := one(Cosine, 1, 4, 0.5)
	s.Courses = append(s.Courses, Begun[Course]{3, Course{Kind: Cosine, Steps: 3}})
	if warmup > 0 {
		s.Warmups = append(s.Warmups, Begun[Warmup]{3, Warmup(warmup)})
	}
	return s
}

func wsd(steps, decay int, shape string) Course {
	return Course{Kind: WSD, Steps: steps, Decay: decay, Shape: shape}
}

var jagged = Course{Kind: Jagged, Steps: 12, First: 1, Every: 4, Rewarm: 2}

func TestScheduleAt(t *testing.T) {
	local := one(Cosine, 1, 9, 0) // 1, then (1 + cos(π n/8))/2
	local.Warmups = append(local.Warmups, Begun[Warmup]{3, 2}, Begun[Warmup]{6, 4}, Begun[Warmup]{8, 2})
	for _, c := range []struct {
		name     string
		schedule Schedule
		want     []float64 // by step from 0, worked out by hand
	}{
		{"cosine", one(Cosine, 2, 6, 0.1),
			// after the peak: 0.1 + 0.45 (1 + cos 0, π/4, π/2, 3π/4)
			[]float64{0.5, 1, 1, 0.8681980515, 0.55, 0.2318019485, 0.1, 0.1}},
		{"cosine to zero, no warm-up", one(Cosine, 0, 3, 0), []float64{1, 0.75, 0.25, 0}},
		{"cosine without decay", one(Cosine, 0, 3, 1), []float64{1, 1, 1, 1}},
		{"one warm-up step has the peak", one(Cosine, 1, 3, 0.5), []float64{1, 1, 0.75, 0.5}},
		{"all warm-up", one(Cosine, 4, 4, 0.1), []float64{0.25, 0.5, 0.75, 1, 0.1}},
		{"one step", one(Cosine, 0, 1, 0.1), []float64{1, 0.1}},
		{"constant", one(Constant, 4, 6, 0.1), []float64{0.25, 0.5, 0.75, 1, 1, 1, 1, 1}},
		{"linear", one(Linear, 2, 6, 0.2), []float64{0.5, 1, 1, 0.8, 0.6, 0.4, 0.2, 0.2}},
		{"WSD", Schedule{Courses: []Begun[Course]{{0, wsd(6, 2, "linear")}}}, []float64{1, 1, 1, 1, 1, 0.5, 0, 0}},
		{"WSD by the root", Schedule{Courses: []Begun[Course]{{0, wsd(5, 4, "1-sqrt")}}},
			[]float64{1, 1, 0.5, 0.2928932188, 0.1339745962, 0}},
		// 1, (1 + cos(π/3))/2, (1 + cos(2π/3))/2
		{"WSD by a cosine", Schedule{Courses: []Begun[Course]{{0, wsd(4, 3, "cosine")}}},
			[]float64{1, 1, 0.75, 0.25, 0}},
		// Restarts at 4 and 8: cosm(4+2-1) and cosm(8+2-1), of 11, times 0 and 1/2.
		{"jagged", Schedule{Courses: []Begun[Course]{{0, jagged}}}, []float64{0, 1, 0.9797464868, 0.9206267665,
			0, 0.5711574192 / 2, 0.5711574192, 0.4288425808, 0, 0.0793732335 / 2, 0.0793732335, 0.0202535132, 0, 0}},
		{"a course after another", two(0), []float64{1, 1, 0.875, 1, 0.75, 0.25, 0}},
		{"with a warm-up", two(2), []float64{1, 1, 0.875, 0.5, 1, 1, 0}},
		// 1, 1, then cos(π/8) and so on: 0.9619397663, 0.8535533906 / 2, 0.6913417162, 0.5,
		// 0.3086582838 / 4, 0.1464466094 / 2, 0.0380602337 / 2, 0
		{"local warm-ups, the last before one is over", local,
			[]float64{1, 1, 0.9619397663, 0.4267766953, 0.6913417162, 0.5, 0.0771645709, 0.0732233047, 0.0190301169,
				0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.schedule.Validate(); err != nil {
				t.Fatal(err)
			}
			for step, want := range c.want {
				if got := c.schedule.At(step); !(math.Abs(got-want) <= 1e-9) { // so that NaN fails
					t.Errorf("At(%d) = %.12g, want %.12g", step, got, want)
				}
			}
		})
	}
}

func TestScheduleValidate(t *testing.T) {
	late := one(Cosine, 0, 10, 0)
	late.Courses[0].From = 1
	later := two(4)
	only := func(c Course) Schedule { return Schedule{Courses: []Begun[Course]{{0, c}}} }
	of := func(edit func(*Course)) Schedule {
		c := jagged
		edit(&c)
		return only(c)
	}
	warm := of(func(*Course) {})
	warm.Warmups = []Begun[Warmup]{{0, 1}}
	stable := only(wsd(6, 3, "linear"))
	stable.Warmups = []Begun[Warmup]{{0, 4}}
	for _, c := range []struct {
		schedule Schedule
		want     string
	}{
		{one("square", 0, 10, 0),
			`unknown learning-rate schedule "square": choose one of cosine, linear, constant, wsd, jagged_cosine`},
		{one("", 0, 10, 0), `schedule ""`},
		{one(Cosine, 0, 0, 0), "schedule of 0 steps"},
		{one(Cosine, -1, 10, 0), "warm-up of -1 steps"},
		{one(Constant, 11, 10, 0), "warm-up of 11 steps in a schedule of 10"},
		{one(Cosine, 0, 10, -0.1), "minimum ratio -0.1"},
		{one(Cosine, 0, 10, 1.1), "minimum ratio 1.1"},
		{one(Cosine, 0, 10, math.NaN()), "minimum ratio NaN"},
		{only(wsd(6, 0, "linear")), "decay over 0 of the 6 steps of a wsd schedule"},
		{only(wsd(6, 7, "linear")), "decay over 7 of the 6 steps"},
		{only(wsd(6, 2, "square")), `decay "square": choose one of linear, 1-sqrt, cosine`},
		{only(Course{Kind: Cosine, Steps: 6, Decay: 2}), "schedule cosine has fields of another one"},
		{of(func(c *Course) { c.Decay = 2 }), "schedule jagged_cosine has fields of another one"},
		{stable, "warm-up of 4 steps in a schedule of 6: it must be between 0 and 3"},
		{warm, "jagged_cosine has a warm-up of its own"},
		{of(func(c *Course) { c.Every = 0 }), "restarts of the learning rate every 0 steps"},
		{of(func(c *Course) { c.Rewarm = 5 }), "warm-up of 5 steps after restarts every 4: it must be between 0 and 4"},
		{of(func(c *Course) { c.First = 5 }), "warm-up of 5 steps, shifted by 0, in a schedule of 12 steps"},
		{of(func(c *Course) { c.Shift = 4 }), "warm-up of 1 steps, shifted by 4"},
		{Schedule{}, "no learning-rate schedule begins at the first step"},
		{late, "no learning-rate schedule begins at the first step"},
		{later, "warm-up of 4 steps in a schedule of 3"},
	} {
		if err := c.schedule.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v.Validate() = %v, want an error with %q", c.schedule, err, c.want)
		}
	}
}
