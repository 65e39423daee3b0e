package guard

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/stage/recipe"
)

var config = recipe.Guard{OnSpike: recipe.RollbackOnSpike, Loss: 1.2, Norm: 100, Window: 10, Most: 2}

// What is no number is a spike from the first step on, other steps once a fifth of the window was seen, above the
// bounds alone; a stage's first steps are judged by no other stage's.
func TestSee(t *testing.T) {
	var m Memory
	var spike *Spike
	for _, x := range [][2]float64{{math.NaN(), 1}, {1, math.NaN()}, {math.Inf(1), 1}, {1, math.Inf(1)}} {
		if err := m.See(config, 1, x[0], x[1]); !errors.As(err, &spike) || spike.Finite() || len(m.Losses) > 0 {
			t.Errorf("loss %g, norm %g: %v", x[0], x[1], err)
		}
	}
	for i := range 12 {
		loss := 1.0
		if i == 1 {
			loss = 99 // One step is too few to judge by.
		}
		err, want := m.See(config, i, loss, 1), min(i+1, 10)
		if err != nil || len(m.Losses) != want || len(m.Norms) != want {
			t.Errorf("step %d: %v, %d losses, %d norms", i, err, len(m.Losses), len(m.Norms))
		}
	}
	before := slices.Clone(m.Losses)
	for _, x := range [][2]float64{{1.21, 1}, {1, 101}} {
		if err := m.See(config, 13, x[0], x[1]); !errors.As(err, &spike) || !spike.Finite() || spike.Step != 13 ||
			spike.MedianLoss != 1 || spike.MedianNorm != 1 {
			t.Errorf("loss %g, norm %g: %v", x[0], x[1], err)
		}
	}
	if !slices.Equal(before, m.Losses) {
		t.Error("spikes are remembered as steps")
	}
	if err := m.See(config, 13, 1.2, 100); err != nil {
		t.Errorf("at the bounds: %v", err)
	}
	m.BeginStage()
	if err := m.See(config, 14, 99, 1); err != nil {
		t.Errorf("right after a growth: %v", err)
	}
}

// Whoever goes back has the checkpoint's steps, and knows which batches to leave out, as often as they spiked.
func TestGoBack(t *testing.T) {
	m := Memory{Losses: []float64{3, 2, 1}, Skipped: []int{4}, Rollbacks: 1}
	saved := Memory{Losses: []float64{3}, Norms: []float64{5}}
	m.GoBack(saved, &Spike{Step: 5})
	want := Memory{Losses: []float64{3}, Norms: []float64{5}, Skipped: []int{4, 4}, Rollbacks: 2}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if m.Skips(4) != 2 || m.Skips(5) != 0 {
		t.Errorf("%d steps' batches are left out before step 5, %d before the next", m.Skips(4), m.Skips(5))
	}
}

// A median of an even number of values is between the two in the middle, and none is zero.
func TestMedian(t *testing.T) {
	for _, c := range []struct {
		list []float64
		want float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}} {
		if got := median(c.list); got != c.want {
			t.Errorf("%v: %g, want %g", c.list, got, c.want)
		}
	}
}
