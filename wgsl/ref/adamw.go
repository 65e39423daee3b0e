package ref

import "math"

// AdamW is the numbers of one AdamW step. Correction1 and Correction2 are
// 1 - Beta^t of step t = 1, 2, ...
type AdamW struct{ LR, Beta1, Beta2, Eps, Decay, Correction1, Correction2 float32 }

// AdamWStep updates n weights and their moments from grad * stats[StatScale]; it
// writes nothing when stats[StatNorm] is not finite.
func AdamWStep[F Float](weight, m, v, grad, stats []F, n int, o AdamW) {
	if norm := float64(stats[StatNorm]); math.IsNaN(norm) || math.IsInf(norm, 0) {
		return
	}
	b1, b2 := float64(o.Beta1), float64(o.Beta2)
	for i := range n {
		g := float64(grad[i]) * float64(stats[StatScale])
		first := b1*float64(m[i]) + (1-b1)*g
		second := b2*float64(v[i]) + (1-b2)*g*g
		m[i], v[i] = F(first), F(second)
		step := first / float64(o.Correction1) / (math.Sqrt(second/float64(o.Correction2)) + float64(o.Eps))
		weight[i] = F(float64(weight[i]) - float64(o.LR)*(step+float64(o.Decay)*float64(weight[i])))
	}
}
