package ref

import (
	"math"

	"steplm/wgsl/ref"
)

// LimitedFactors sets factors to f c gain / l: f = ||N|| / (c ||R|| + 1e-8) of sums of
// squares of rows of N and R, each or all, c = stats[StatScale]; l is what keeps the norm
// U of the vectors, whose sums of squares are squares, times f c within 1.01 of norm, which
// becomes U / l where stats[StatNorm] is finite.
func LimitedFactors[F ref.Float](factors, norm, directions, projected, squares, stats []F, all, first bool,
	gain float32) {
	c := float64(stats[ref.StatScale])
	factor := func(n, r float64) float64 { return c * math.Sqrt(n) / (c*math.Sqrt(r) + 1e-8) }
	of := func(i int) float64 { return factor(float64(directions[i]), float64(projected[i])) }
	if all {
		one := factor(ref.Sum(directions), ref.Sum(projected))
		of = func(int) float64 { return one }
	}
	whole := 0.0
	for i, s := range squares {
		whole += of(i) * of(i) * float64(s)
	}
	whole = math.Sqrt(whole)
	limit := 1.0
	if !first {
		limit = max(whole/(float64(norm[0])+1e-8), 1.01) / 1.01
	}
	for i := range factors {
		factors[i] = F(of(i) * float64(gain) / limit)
	}
	if finiteNorm(stats) {
		norm[0] = F(whole / limit)
	}
}
