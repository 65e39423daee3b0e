package optim

import (
	"math"
	"strings"
	"testing"
)

func TestScheduleAt(t *testing.T) {
	for _, c := range []struct {
		name     string
		schedule Schedule
		want     []float64 // by step from 0, worked out by hand
	}{
		{"cosine", Schedule{Cosine, 2, 6, 0.1},
			// after the peak: 0.1 + 0.45 (1 + cos 0, π/4, π/2, 3π/4)
			[]float64{0.5, 1, 1, 0.8681980515, 0.55, 0.2318019485, 0.1, 0.1}},
		{"cosine to zero, no warm-up", Schedule{Cosine, 0, 3, 0}, []float64{1, 0.75, 0.25, 0}},
		{"cosine without decay", Schedule{Cosine, 0, 3, 1}, []float64{1, 1, 1, 1}},
		{"one warm-up step has the peak", Schedule{Cosine, 1, 3, 0.5}, []float64{1, 1, 0.75, 0.5}},
		{"all warm-up", Schedule{Cosine, 4, 4, 0.1}, []float64{0.25, 0.5, 0.75, 1, 0.1}},
		{"one step", Schedule{Cosine, 0, 1, 0.1}, []float64{1, 0.1}},
		{"constant", Schedule{Constant, 4, 6, 0.1}, []float64{0.25, 0.5, 0.75, 1, 1, 1, 1, 1}},
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
	for _, c := range []struct {
		schedule Schedule
		want     string
	}{
		{Schedule{"linear", 0, 10, 0}, `unknown learning-rate schedule "linear": choose one of cosine, constant`},
		{Schedule{"", 0, 10, 0}, `schedule ""`},
		{Schedule{Cosine, 0, 0, 0}, "schedule of 0 steps"},
		{Schedule{Cosine, -1, 10, 0}, "warm-up of -1 steps in a schedule of 10"},
		{Schedule{Constant, 11, 10, 0}, "warm-up of 11 steps in a schedule of 10"},
		{Schedule{Cosine, 0, 10, -0.1}, "minimum ratio -0.1"},
		{Schedule{Cosine, 0, 10, 1.1}, "minimum ratio 1.1"},
		{Schedule{Cosine, 0, 10, math.NaN()}, "minimum ratio NaN"},
	} {
		if err := c.schedule.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v.Validate() = %v, want an error with %q", c.schedule, err, c.want)
		}
	}
}
