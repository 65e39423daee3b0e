package ref

import (
	"math"
	"testing"
)

// Two parts of known squares: norm 5 of (3, 0, ..., 0, 4).
func TestClipScale(t *testing.T) {
	grad := make([]float64, NormPart+1)
	grad[0], grad[NormPart] = 3, 4
	partials := make([]float64, 3)
	SquaredNorm(partials, grad, 1)
	if partials[0] != 0 || partials[1] != 9 || partials[2] != 16 {
		t.Fatalf("partials %v, want 0 9 16", partials)
	}
	for _, c := range []struct{ most, scale float64 }{{10, 1}, {2.5, 2.5 / 5.000001}, {0, 1}, {-1, 1}} {
		stats := make([]float64, 8)
		ClipScale(stats, partials, 3, float32(c.most))
		if stats[StatNorm] != 5 || stats[StatScale] != c.scale {
			t.Errorf("max norm %g: norm %g, scale %g; want 5, %g", c.most, stats[StatNorm], stats[StatScale], c.scale)
		}
	}
	for _, x := range []float64{math.NaN(), math.Inf(1)} {
		stats := make([]float64, 8)
		ClipScale(stats, []float64{1, x}, 2, 0)
		if n := stats[StatNorm]; !(math.IsNaN(n) || math.IsInf(n, 1)) || stats[StatScale] != 0 {
			t.Errorf("partial %g: norm %g, scale %g; want it not finite, 0", x, n, stats[StatScale])
		}
	}
}
