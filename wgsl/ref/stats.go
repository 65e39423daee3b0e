package ref

import "math"

// Words of stats.
const (
	StatLoss    = 0
	StatNorm    = 1
	StatScale   = 2
	StatSquares = 3
)

// NormPart is the number of elements whose squares make one partial sum.
const NormPart = 16384

// SumLosses adds the sum of n losses to stats[StatLoss].
func SumLosses[F Float](stats, losses []F, n int) {
	total := 0.0
	for _, l := range losses[:n] {
		total += float64(l)
	}
	stats[StatLoss] = F(float64(stats[StatLoss]) + total)
}

// SquaredNorm sets partials from at on to the sums of squares of each NormPart of
// the elements of grad.
func SquaredNorm[F Float](partials, grad []F, at int) {
	for i := 0; i*NormPart < len(grad); i++ {
		part := grad[i*NormPart : min(len(grad), (i+1)*NormPart)]
		partials[at+i] = F(Dot(part, part))
	}
}

// ClipScale sets stats[StatNorm] to the root of the sum of n partials and
// stats[StatScale] to min(1, maxNorm / (norm + 1e-6)); 1 if maxNorm is not
// positive, 0 if the norm is not finite.
func ClipScale[F Float](stats, partials []F, n int, maxNorm float32) {
	clip(stats, Sum(partials[:n]), maxNorm)
}

// ReleaseScale is ClipScale, and adds the sum to stats[StatSquares]. Once a sum or
// stats[StatLoss] is not finite, the norm and StatSquares are not.
func ReleaseScale[F Float](stats, partials []F, n int, maxNorm float32) {
	s := Sum(partials[:n])
	if !Finite(float64(stats[StatLoss])) || !Finite(float64(stats[StatSquares])) {
		s = math.NaN()
	}
	clip(stats, s, maxNorm)
	stats[StatSquares] = F(float64(stats[StatSquares]) + s)
}

// ReleaseNorm sets stats[StatNorm] to the root of stats[StatSquares].
func ReleaseNorm[F Float](stats []F) {
	stats[StatNorm] = F(math.Sqrt(float64(stats[StatSquares])))
}

// sum is what devices that add as F could hold: infinite beyond.
func Sum[F Float](x []F) float64 {
	s := 0.0
	for _, v := range x {
		s += float64(v)
	}
	return float64(F(s))
}

func clip[F Float](stats []F, squares float64, maxNorm float32) {
	norm := math.Sqrt(squares)
	stats[StatNorm] = F(norm)
	switch {
	case !Finite(norm):
		stats[StatScale] = 0
	case maxNorm > 0:
		stats[StatScale] = F(min(1, float64(maxNorm)/(norm+1e-6)))
	default:
		stats[StatScale] = 1
	}
}
