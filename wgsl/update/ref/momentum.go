package ref

import "steplm/wgsl/ref"

// FiniteNorm says whether an update may write.
func FiniteNorm[F ref.Float](stats []F) bool { return finiteNorm(stats) }

// Momentum sets out to beta m + (1 - beta) grad * stats[StatScale].
func Momentum[F ref.Float](out, m, grad, stats []F, beta float32) {
	b := float64(beta)
	for i, g := range grad {
		out[i] = F(b*float64(m[i]) + (1-b)*float64(g)*float64(stats[ref.StatScale]))
	}
}
