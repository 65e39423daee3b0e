package ref

import (
	"math"
	"steplm/wgsl/ref"
)

// RMSFactors turns sums of squares of count elements into c / max(c rms, 1e-8): what brings
// them to a root mean square of 1, where c is stats[StatScale] of a gradient, else 1.
func RMSFactors[F ref.Float](factors, stats []F, count float32, gradient bool) {
	c := 1.0
	if gradient {
		c = float64(stats[ref.StatScale])
	}
	for i, squares := range factors {
		factors[i] = F(c / max(c*math.Sqrt(float64(squares)/float64(count)), 1e-8))
	}
}
