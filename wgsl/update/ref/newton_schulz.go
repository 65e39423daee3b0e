package ref

import (
	"math"
	"steplm/wgsl/ref"
)

// The polynomial of a Newton-Schulz step, a X + (b A + c A A) X of A = X X^T.
const (
	NewtonSchulzA = 3.4445
	NewtonSchulzB = -4.7750
	NewtonSchulzC = 2.0315
)

// InverseNorm sets out[0] to 1 / (||x|| + 1e-7) of sums of squares of x.
func InverseNorm[F ref.Float](out, squares []F) { out[0] = F(1 / (math.Sqrt(ref.Sum(squares)) + 1e-7)) }

// NewtonSchulz makes the singular values of x (m, n) about 1 in so many steps.
func NewtonSchulz(x []float64, m, n, steps int) []float64 {
	squares := 0.0
	for _, v := range x {
		squares += v * v
	}
	now := make([]float64, len(x))
	for i, v := range x {
		now[i] = v / (math.Sqrt(squares) + 1e-7)
	}
	a := min(m, n)
	at := func(i, k int) float64 { // of the matrix with its shorter side first
		if m > n {
			return now[k*n+i]
		}
		return now[i*n+k]
	}
	for range steps {
		gram, poly, next := make([]float64, a*a), make([]float64, a*a), make([]float64, len(x))
		for i := range a {
			for j := range a {
				for k := range max(m, n) {
					gram[i*a+j] += at(i, k) * at(j, k)
				}
			}
		}
		for i := range a {
			for j := range a {
				poly[i*a+j] = NewtonSchulzB * gram[i*a+j]
				for k := range a {
					poly[i*a+j] += NewtonSchulzC * gram[i*a+k] * gram[k*a+j]
				}
			}
		}
		for i := range a {
			for k := range max(m, n) {
				v := NewtonSchulzA * at(i, k)
				for j := range a {
					v += poly[i*a+j] * at(j, k)
				}
				if m > n {
					next[k*n+i] = v
				} else {
					next[i*n+k] = v
				}
			}
		}
		now = next
	}
	return now
}
