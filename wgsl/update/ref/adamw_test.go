package ref

import (
	"math"
	"testing"
)

// By hand, with numbers that floats hold exactly: two steps from zero moments.
func TestAdamWF32ByHand(t *testing.T) {
	o := AdamW{LR: 0.5, Beta1: 0.5, Beta2: 0.75, Eps: 0, Decay: 0.25, Correction1: 0.5, Correction2: 0.25}
	weight, m, v := []float64{2}, []float64{0}, []float64{0}
	stats := []float64{0, 8, 0.5}
	AdamWF32(weight, m, v, []float64{-8}, stats, o) // g -4: m -2, v 4, step -1
	if m[0] != -2 || v[0] != 4 || weight[0] != 2-0.5*(-1+0.25*2) {
		t.Fatalf("first step: m %g, v %g, weight %g; want -2, 4, 2.25", m[0], v[0], weight[0])
	}
	o.Correction1, o.Correction2, o.Decay = 0.75, 0.4375, 0
	AdamWF32(weight, m, v, []float64{8}, stats, o) // g 4: m 1, v 7, step 4/3/4
	if m[0] != 1 || v[0] != 7 || math.Abs(weight[0]-(2.25-0.5/3)) > 1e-15 {
		t.Fatalf("second step: m %g, v %g, weight %g; want 1, 7, %g", m[0], v[0], weight[0], 2.25-0.5/3)
	}
}
