package ref

import (
	"math"
	"math/rand/v2"
	"testing"
)

// random values, normal with the given deviation, the same for the same seed.
func random(seed uint64, n int, std float64) []float64 {
	g := rand.New(rand.NewPCG(seed, 1))
	x := make([]float64, n)
	for i := range x {
		x[i] = g.NormFloat64() * std
	}
	return x
}

// checkGradient compares grad with central differences of loss, which reads x.
func checkGradient(t *testing.T, name string, x, grad []float64, loss func() float64) {
	t.Helper()
	for i, was := range x {
		const h = 1e-5
		x[i] = was + h
		above := loss()
		x[i] = was - h
		below := loss()
		x[i] = was
		want := (above - below) / (2 * h)
		if diff := math.Abs(grad[i] - want); !(diff <= 1e-8+1e-6*math.Abs(want)) {
			t.Errorf("%s: element %d of %d is %g, finite differences say %g", name, i, len(x), grad[i], want)
		}
	}
}
