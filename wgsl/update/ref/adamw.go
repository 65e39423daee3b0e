package ref

import (
	"math"
	"steplm/wgsl/ref"
)

// AdamW is the numbers of one AdamW step. Correction1 and Correction2 are
// 1 - Beta^t of step t = 1, 2, ... Draw is for stochastic rounding alone.
type AdamW struct {
	LR, Beta1, Beta2, Eps, Decay, Correction1, Correction2 float32
	Draw                                                   Draw
}

func (o AdamW) moments(m, v, g float64) (first, second float64) {
	b1, b2 := float64(o.Beta1), float64(o.Beta2)
	return b1*m + (1-b1)*g, b2*v + (1-b2)*g*g
}

func (o AdamW) stepped(weight, m, v float64) float64 {
	step := m / float64(o.Correction1) / (math.Sqrt(v/float64(o.Correction2)) + float64(o.Eps))
	return weight - float64(o.LR)*(step+float64(o.Decay)*weight)
}

// finiteNorm says whether an update may write.
func finiteNorm[F ref.Float](stats []F) bool { return ref.Finite(float64(stats[ref.StatNorm])) }

// AdamWF32 updates weights and their moments from grad * stats[StatScale]; it
// writes nothing when stats[StatNorm] is not finite.
func AdamWF32[F ref.Float](weight, m, v, grad, stats []F, o AdamW) {
	if !finiteNorm(stats) {
		return
	}
	for i := range weight {
		first, second := o.moments(float64(m[i]), float64(v[i]), float64(grad[i])*float64(stats[ref.StatScale]))
		m[i], v[i] = F(first), F(second)
		weight[i] = F(o.stepped(float64(weight[i]), first, second))
	}
}

// AdamWPaper is AdamWF32 of the master; weight is its upper half, two to a word,
// see SplitBits.
func AdamWPaper(weight []uint32, master, m, v, grad, stats []float32, o AdamW) {
	if !finiteNorm(stats) {
		return
	}
	AdamWF32(master, m, v, grad, stats, o)
	for i, f := range master {
		hi, _ := SplitBits(f)
		setHalf(weight, i, hi)
	}
}

// AdamWSplit is AdamWPaper with the master in two planes of two elements to a
// word.
func AdamWSplit(weight, low []uint32, m, v, grad, stats []float32, o AdamW) {
	if !finiteNorm(stats) {
		return
	}
	master := make([]float32, len(m))
	for i := range master {
		master[i] = JoinBits(half(weight, i), int16(half(low, i)))
	}
	AdamWF32(master, m, v, grad, stats, o)
	for i, f := range master {
		hi, lo := SplitBits(f)
		setHalf(weight, i, hi)
		setHalf(low, i, uint16(lo))
	}
}

// AdamWStochastic is AdamWF32 of bfloat16 weights, two to a word, without a master, which
// Stochastic rounds; first is the number of the first eight.
func AdamWStochastic(weight []uint32, m, v, grad, stats []float32, first int, o AdamW) {
	if !finiteNorm(stats) {
		return
	}
	wide := make([]float32, len(m))
	for i := range wide {
		wide[i] = math.Float32frombits(uint32(half(weight, i)) << 16)
	}
	AdamWF32(wide, m, v, grad, stats, o)
	storeStochastic(weight, wide, first, o.Draw)
}
