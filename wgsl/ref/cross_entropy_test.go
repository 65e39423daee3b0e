package ref

import (
	"math"
	"slices"
	"testing"
)

func TestCrossEntropyGradient(t *testing.T) {
	const at, rows, v, scale = 2, 3, 6, 0.25
	targets := []uint32{0, 0, 5, math.MaxUint32, 1}
	logits := random(1, rows*v, 2)
	loss := func() float64 {
		losses := make([]float64, at+rows)
		CrossEntropyForward(logits, losses, targets, at, rows, v)
		sum := 0.0
		for _, l := range losses {
			sum += l
		}
		return scale * sum
	}
	grad := slices.Clone(logits)
	CrossEntropy(grad, make([]float64, at+rows), targets, at, rows, v, scale)
	checkGradient(t, "logits", logits, grad, loss)
}

// Equal logits over v words cost log(v).
func TestCrossEntropyUniform(t *testing.T) {
	losses := []float64{-1}
	CrossEntropyForward([]float64{7, 7, 7, 7}, losses, []uint32{2}, 0, 1, 4)
	if math.Abs(losses[0]-math.Log(4)) > 1e-12 {
		t.Errorf("loss %g, want log 4 = %g", losses[0], math.Log(4))
	}
}
