package modeltest

import (
	"fmt"
	"math"
	"testing"
)

// Bits fails unless both hold the same names with the same bits.
func Bits(t *testing.T, what string, got, want map[string][]float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d tensors, want %d", what, len(got), len(want))
	}
	for name, w := range want {
		g := got[name]
		if len(g) != len(w) {
			t.Errorf("%s: %s has %d elements, want %d", what, name, len(g), len(w))
			continue
		}
		for i := range w {
			if math.Float32bits(g[i]) != math.Float32bits(w[i]) {
				t.Errorf("%s: element %d of %s is %g, want %g", what, i, name, g[i], w[i])
				break
			}
		}
	}
}

// Comparison collects how much of its allowance each tensor used.
type Comparison struct {
	worst float64
	line  string
}

// Check fails unless every element is within rel times the largest element of
// want: float32 sums deviate by the size of what they add up.
func (c *Comparison) Check(t *testing.T, name string, got, want []float32, rel float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d elements, want %d", name, len(got), len(want))
		return
	}
	largest := 0.0
	for _, w := range want {
		largest = max(largest, math.Abs(float64(w)))
	}
	if largest == 0 {
		t.Errorf("%s: all zero, which shows nothing", name)
		return
	}
	c.Within(t, name, got, want, rel*largest)
}

// Within fails unless every element is within allowance.
func (c *Comparison) Within(t *testing.T, name string, got, want []float32, allowance float64) {
	t.Helper()
	used, at := -1.0, 0
	for i := range got {
		u := math.Abs(float64(got[i])-float64(want[i])) / allowance
		if u != u { // NaN
			u = math.Inf(1)
		}
		if u > used {
			used, at = u, i
		}
	}
	line := fmt.Sprintf("%s: element %d of %d is %g, want %g: %.1f%% of the allowance of %.2g", name, at, len(got),
		got[at], want[at], 100*used, allowance)
	if used > 1 {
		t.Error(line)
	}
	if used > c.worst {
		c.worst, c.line = used, line
	}
}

// Report logs the worst element of all.
func (c *Comparison) Report(t *testing.T) {
	t.Helper()
	t.Log("worst: " + c.line)
}

// Near fails unless got is within rel of want.
func Near(t *testing.T, what string, got, want, rel float64) {
	t.Helper()
	if off := math.Abs(got-want) / math.Abs(want); !(off <= rel) {
		t.Errorf("%s is %.9g, want %.9g: off by %.2g relative, allowed %.2g", what, got, want, off, rel)
	}
}
