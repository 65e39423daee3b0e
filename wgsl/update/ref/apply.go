package ref

import "math"

// By says what each of an update's factors belongs to.
type By int

// The choices of By.
const (
	Plain    By = iota // there are none
	ByTensor           // one of all elements
	ByRow
	ByColumn
)

// Applied is the numbers of W -= Rate U + Decay W, where U is a source times its factors.
// First and Stride say where a part begins, in eights, and how long a row of storage is.
type Applied struct {
	By            By
	Rate, Decay   float32
	Draw          Draw // by which stochastic rounding draws
	First, Stride int
}

// factor is the one of element i of the storage.
func (o Applied) factor(factors []float32, i int) float64 {
	at := 8*o.First + i
	switch o.By {
	case ByTensor:
		return float64(factors[0])
	case ByRow:
		return float64(factors[at/o.Stride])
	case ByColumn:
		if j := at % o.Stride; j < len(factors) { // else padding
			return float64(factors[j])
		}
	}
	return 1
}

// ApplyF32 makes weights W - Rate U - Decay W; it writes nothing when stats[StatNorm] is not
// finite.
func ApplyF32(weight, source, factors, stats []float32, o Applied) {
	if !finiteNorm(stats) {
		return
	}
	for i, w := range weight {
		u := float64(source[i]) * o.factor(factors, i)
		weight[i] = float32(float64(w) - float64(o.Rate)*u - float64(o.Decay)*float64(w))
	}
}

// ApplyPaper is ApplyF32 of the master; weight is its upper half, see SplitBits.
func ApplyPaper(weight []uint32, master, source, factors, stats []float32, o Applied) {
	if !finiteNorm(stats) {
		return
	}
	ApplyF32(master, source, factors, stats, o)
	for i, f := range master {
		hi, _ := SplitBits(f)
		setHalf(weight, i, hi)
	}
}

// ApplySplit is ApplyPaper with the master in two planes, as AdamWSplit has it.
func ApplySplit(weight, low []uint32, source, factors, stats []float32, o Applied) {
	if !finiteNorm(stats) {
		return
	}
	master := make([]float32, len(source))
	for i := range master {
		master[i] = JoinBits(half(weight, i), int16(half(low, i)))
	}
	ApplyF32(master, source, factors, stats, o)
	for i, f := range master {
		hi, lo := SplitBits(f)
		setHalf(weight, i, hi)
		setHalf(low, i, uint16(lo))
	}
}

// ApplyStochastic is ApplyF32 of bfloat16 weights, two to a word, which Stochastic rounds.
func ApplyStochastic(weight []uint32, source, factors, stats []float32, o Applied) {
	if !finiteNorm(stats) {
		return
	}
	wide := make([]float32, len(source))
	for i := range wide {
		wide[i] = math.Float32frombits(uint32(half(weight, i)) << 16)
	}
	ApplyF32(wide, source, factors, stats, o)
	storeStochastic(weight, wide, o.First, o.Draw)
}
