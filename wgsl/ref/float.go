package ref

import "math"

// Float is float32 on devices; the tests differentiate in float64.
type Float interface{ ~float32 | ~float64 }

// dot is the inner product of a and the first len(a) elements of b.
func Dot[F Float](a, b []F) float64 {
	sum := 0.0
	for i, x := range a {
		sum += float64(x) * float64(b[i])
	}
	return sum
}

func Finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
