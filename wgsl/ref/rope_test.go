package ref

import (
	"math"
	"slices"
	"testing"
)

func TestRopeGradient(t *testing.T) {
	const rows, positions, heads, d = 4, 2, 2, 6
	cos, sin := RopeTables(positions, RopeFrequencies(d, 10000), 1)
	x, dout := random(1, rows*heads*d, 1), random(2, rows*heads*d, 1)
	dx := slices.Clone(dout)
	RopeBackward(dx, cos, sin, rows, positions, heads, d)
	checkGradient(t, "dx", x, dx, func() float64 {
		y := slices.Clone(x)
		RopeForward(y, cos, sin, rows, positions, heads, d)
		return Dot(y, dout)
	})
}

// By hand: at position 3 of a head of 4 the first pair (elements 0 and 2) turns
// by 3, the second (1 and 3) by 3 / sqrt(theta).
func TestRopeByHand(t *testing.T) {
	cos, sin := RopeTables(4, RopeFrequencies(4, 10000), 1)
	x := make([]float64, 4*4)
	copy(x[3*4:], []float64{1, 0, 0, 2})
	RopeForward(x, cos, sin, 4, 4, 1, 4)
	want := []float64{math.Cos(3), -2 * math.Sin(0.03), math.Sin(3), 2 * math.Cos(0.03)}
	for i, v := range x[3*4:] {
		if math.Abs(v-want[i]) > 1e-6 {
			t.Errorf("element %d is %g, want %g", i, v, want[i])
		}
	}
}
