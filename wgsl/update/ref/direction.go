package ref

import (
	"math"
	"steplm/wgsl/ref"
)

// Direction updates moments by grad * stats[StatScale] and sets out to m / (sqrt v + Eps); it
// writes nothing when stats[StatNorm] is not finite.
func Direction[F ref.Float](m, v, out, grad, stats []F, o AdamW) {
	if !finiteNorm(stats) {
		return
	}
	for i, g := range grad {
		first, second := o.moments(float64(m[i]), float64(v[i]), float64(g)*float64(stats[ref.StatScale]))
		m[i], v[i] = F(first), F(second)
		out[i] = F(first / (math.Sqrt(second) + float64(o.Eps)))
	}
}
