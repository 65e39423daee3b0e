package ref

import "math"

// Words of stats.
const (
	StatLoss  = 0
	StatNorm  = 1
	StatScale = 2
)

// NormPart is the number of elements whose squares make one partial sum.
const NormPart = 16384

// SumLosses adds the sum of n losses to stats[StatLoss].
func SumLosses[F Float](stats, losses []F, n int) {
	sum := 0.0
	for _, l := range losses[:n] {
		sum += float64(l)
	}
	stats[StatLoss] = F(float64(stats[StatLoss]) + sum)
}

// SquaredNorm sets partials from at on to the sums of squares of each NormPart of
// the n elements of grad.
func SquaredNorm[F Float](partials, grad []F, at, n int) {
	for i := 0; i*NormPart < n; i++ {
		part := grad[i*NormPart : min(n, (i+1)*NormPart)]
		partials[at+i] = F(dot(part, part))
	}
}

// ClipScale sets stats[StatNorm] to the root of the sum of n partials and
// stats[StatScale] to min(1, maxNorm / (norm + 1e-6)); 1 if maxNorm is not
// positive, 0 if the norm is not finite.
func ClipScale[F Float](stats, partials []F, n int, maxNorm float32) {
	sum := 0.0
	for _, x := range partials[:n] {
		sum += float64(x)
	}
	// A sum that only float64 can hold is infinite on devices, and so here.
	norm := math.Sqrt(float64(F(sum)))
	stats[StatNorm] = F(norm)
	switch {
	case math.IsNaN(norm) || math.IsInf(norm, 0):
		stats[StatScale] = 0
	case maxNorm > 0:
		stats[StatScale] = F(min(1, float64(maxNorm)/(norm+1e-6)))
	default:
		stats[StatScale] = 1
	}
}
