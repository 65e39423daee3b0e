package model_test

import (
	"math"
	"slices"
	"testing"

	"steplm/model"
)

// Within the context that was trained dynamic scaling changes nothing; yarn multiplies cosines and sines by what its
// factor says, unless the file says otherwise, and leaves the fastest pair as it is.
func TestRopeTables(t *testing.T) {
	const positions = 16
	c := model.Config{Hidden: 64, Heads: 2, MaxSeqLen: positions, RopeTheta: 10000}
	cos, sin := c.RopeTables(positions)
	c.RopeScaling = model.RopeScaling{Type: model.RopeDynamic, Factor: 4}
	if a, b := c.RopeTables(positions); !slices.Equal(a, cos) || !slices.Equal(b, sin) {
		t.Error("dynamic scaling changes the angles of positions that were trained")
	}
	for _, attention := range []float64{0, 1.5} {
		c.RopeScaling = model.RopeScaling{Type: model.RopeYarn, Factor: 4, Original: 4096, BetaFast: 32, BetaSlow: 1,
			AttentionFactor: attention}
		want := attention
		if want == 0 {
			want = 0.1*math.Log(4) + 1
		}
		a, b := c.RopeTables(positions)
		for p := range positions {
			first, last := p*16, p*16+15
			if got := math.Hypot(float64(a[last]), float64(b[last])); math.Abs(got-want) > 1e-6 {
				t.Fatalf("position %d: the last pair has length %g, want %g", p, got, want)
			}
			if got := float64(a[first]); math.Abs(got-want*float64(cos[first])) > 1e-6 {
				t.Fatalf("position %d: the fastest pair's cosine is %g, want %g", p, got, want*float64(cos[first]))
			}
			slower := math.Sin(math.Asin(float64(sin[last])) / 4)
			if got := float64(b[last]) / want; math.Abs(got-slower) > 1e-6 {
				t.Fatalf("position %d: the slowest pair's sine is %g, want %g: four times slower", p, got, slower)
			}
		}
	}
}
