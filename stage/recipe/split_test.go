package recipe_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	. "steplm/stage/recipe"
)

// compositions calls yield with every vector of stages positive integers that
// sums to layers. The vector is reused.
func compositions(layers, stages int, yield func([]int)) {
	v := make([]int, stages)
	var fill func(i, left int)
	fill = func(i, left int) {
		if i == stages-1 {
			v[i] = left
			yield(v)
			return
		}
		for v[i] = 1; v[i] <= left-(stages-1-i); v[i]++ {
			fill(i+1, left-v[i])
		}
	}
	fill(0, layers)
}

// bruteSplit applies the definition, tie rules included, to every composition.
func bruteSplit(layers, stages int, stageBytes func(added, before int) int64) []int {
	var best []int
	var bestPeak int64
	compositions(layers, stages, func(v []int) {
		peak := slices.Max(splitBytes(v, stageBytes))
		if best != nil {
			if peak > bestPeak {
				return
			}
			if peak == bestPeak {
				c := slices.Compare(Descending(v), Descending(best))
				if c > 0 || c == 0 && slices.Compare(v, best) <= 0 {
					return
				}
			}
		}
		best, bestPeak = slices.Clone(v), peak
	})
	return best
}

func TestSplitEqualsBruteForce(t *testing.T) {
	costs := map[string]func(added, before int) int64{
		"everything ties":    func(int, int) int64 { return 7 },
		"only added counts":  func(added, _ int) int64 { return int64(added) },
		"only before counts": func(_, before int) int64 { return int64(before) },
		"coarse steps":       func(added, before int) int64 { return int64((3*added + before) / 10) },
		"not monotonic":      func(added, before int) int64 { return int64((7*added*added + 5*before) % 23) },
	}
	for _, c := range []struct{ p, e int64 }{
		{1, 0}, {8, 0}, {8, 1}, {8, 3}, {1, 1}, {1, 7}, // 2P + 16E a multiple of 16P, or near it: ties
		{12_601_344, 155_776}, {12_601_344, 2_492_416}, // 368M, rank 8 and 128
	} {
		costs[fmt.Sprintf("P=%d E=%d", c.p, c.e)] = PaperStageBytes(c.p, c.e)
	}
	for name, cost := range costs {
		t.Run(name, func(t *testing.T) {
			for stages := 1; stages <= 4; stages++ {
				for layers := stages; layers <= 30; layers++ {
					got, err := Split(layers, stages, cost)
					if err != nil {
						t.Fatal(err)
					}
					if want := bruteSplit(layers, stages, cost); !slices.Equal(got, want) {
						t.Errorf("Split(%d, %d) = %v %d, brute force %v %d", layers, stages,
							got, splitBytes(got, cost), want, splitBytes(want, cost))
					}
				}
			}
		})
	}
}

func TestSplitTies(t *testing.T) {
	free := func(int, int) int64 { return 0 }
	for _, c := range []struct {
		layers, stages int
		want           []int
	}{
		{7, 1, []int{7}},
		{4, 4, []int{1, 1, 1, 1}},
		{7, 2, []int{4, 3}},     // (3,4) sorts the same: larger first stage
		{8, 3, []int{3, 3, 2}},  // (3,2,3) has the same first stage: larger second
		{24, 3, []int{8, 8, 8}}, // even beats every other minimiser
	} {
		if got, err := Split(c.layers, c.stages, free); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("Split(%d, %d) = %v, %v, want %v", c.layers, c.stages, got, err, c.want)
		}
	}
}

func TestSplitErrors(t *testing.T) {
	for _, c := range []struct{ layers, stages int }{{3, 4}, {0, 1}, {-2, 1}, {5, 0}, {5, -1}, {0, 0}} {
		split, err := Split(c.layers, c.stages, PaperStageBytes(1, 0))
		want := fmt.Sprintf("%d layers into %d stages", c.layers, c.stages)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Split(%d, %d) = %v, %v, want an error with %q", c.layers, c.stages, split, err, want)
		}
	}
}

func TestSplitRefusesTooManyLayers(t *testing.T) {
	_, err := Split(MaxLayers+1, 2, PaperStageBytes(1, 1))
	if err == nil || !strings.Contains(err.Error(), "10001") || !strings.Contains(err.Error(), "10000") {
		t.Errorf("error %v does not say both numbers", err)
	}
}

// splitBytes evaluates stageBytes for every stage of a split.
func splitBytes(split []int, stageBytes func(added, before int) int64) []int64 {
	bytes := make([]int64, len(split))
	before := 0
	for i, added := range split {
		bytes[i] = stageBytes(added, before)
		before += added
	}
	return bytes
}
