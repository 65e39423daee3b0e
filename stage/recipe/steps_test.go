package recipe_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	. "steplm/stage/recipe"
)

func TestStageSteps(t *testing.T) {
	for _, c := range []struct {
		total, stages int
		growAt        float64
		run, schedule []int
	}{
		{100, 1, 0.75, []int{100}, []int{100}},
		{1, 1, 0.75, []int{1}, []int{1}},
		{175, 2, 0.75, []int{75, 100}, []int{100, 100}},             // nothing to round
		{100, 2, 0.75, []int{42, 58}, []int{57, 58}},                // T = 57.14, 0.75 T = 42.75
		{20, 2, 0.75, []int{8, 12}, []int{11, 12}},                  // T = 11.43, 0.75 T = 8.25
		{1000, 3, 0.75, []int{300, 300, 400}, []int{400, 400, 400}}, // nothing to round
		{1001, 3, 0.75, []int{300, 300, 401}, []int{400, 400, 401}}, // T = 400.4
		{2, 2, 1, []int{1, 1}, []int{1, 1}},
		{5, 2, 1, []int{3, 2}, []int{3, 2}},             // T = 2.5, away from zero
		{129, 2, 0.29, []int{29, 100}, []int{100, 100}}, // 0.29*100 < 29 in binary
		{3, 2, 0.75, []int{1, 2}, []int{2, 2}},
	} {
		run, schedule, err := StageSteps(c.total, c.stages, c.growAt)
		if err != nil || !slices.Equal(run, c.run) || !slices.Equal(schedule, c.schedule) {
			t.Errorf("StageSteps(%d, %d, %g) = %v, %v, %v, want %v, %v",
				c.total, c.stages, c.growAt, run, schedule, err, c.run, c.schedule)
		}
	}
}

func TestStageStepsUseTheWholeBudget(t *testing.T) {
	for stages := 1; stages <= 6; stages++ {
		for _, growAt := range []float64{0.1, 0.5, 0.75, 0.9, 1} {
			for total := 60; total <= 400; total++ {
				run, schedule, err := StageSteps(total, stages, growAt)
				if err != nil {
					t.Fatal(err)
				}
				sum := 0
				for i := range run {
					sum += run[i]
					if run[i] < 1 || run[i] > schedule[i] {
						t.Fatalf("StageSteps(%d, %d, %g): stage %d runs %d of %d", total, stages, growAt, i+1, run[i],
							schedule[i])
					}
				}
				if len(run) != stages || len(schedule) != stages || sum != total ||
					run[stages-1] != schedule[stages-1] {
					t.Fatalf("StageSteps(%d, %d, %g) = %v, %v", total, stages, growAt, run, schedule)
				}
			}
		}
	}
}

func TestStageStepsErrors(t *testing.T) {
	for _, c := range []struct {
		total, stages int
		growAt        float64
		want          string
	}{
		{1, 2, 0.75, "1 steps are too few for 2 stages that grow at 0.75: stage 1 would get 0 steps"},
		{2, 4, 1, "2 steps are too few for 4 stages that grow at 1: stage 4 would get -1 steps"},
		{10, 2, 0.01, "stage 1 would get 0 steps"},
		{0, 2, 0.75, "0 steps among 2 stages"},
		{10, 0, 0.75, "10 steps among 0 stages"},
		{10, 2, 0, "fraction 0 "},
		{10, 2, -0.5, "fraction -0.5 "},
		{10, 2, 1.5, "fraction 1.5 "},
		{10, 2, math.NaN(), "fraction NaN "},
	} {
		run, schedule, err := StageSteps(c.total, c.stages, c.growAt)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("StageSteps(%d, %d, %g) = %v, %v, %v, want an error with %q", c.total, c.stages, c.growAt, run,
				schedule, err, c.want)
		}
	}
}
