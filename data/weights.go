package data

import (
	"fmt"
	"math"
	"math/bits"
)

// weightSum is what the integer weights of a mixture's sources add up to, but for
// rounding.
const weightSum = 1 << 32

// integerWeights are the sources' weights as integers, so that which source a
// window is from is the same on every machine.
func integerWeights(sources []Source) ([]uint64, error) {
	total := 0.0
	for _, s := range sources {
		if !(s.Weight > 0) || math.IsInf(s.Weight, 1) {
			return nil, fmt.Errorf("%s: a weight of %g; it must be above 0", s.Shards.pattern, s.Weight)
		}
		total += s.Weight
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("no data: a mixture needs one source at least")
	}
	list := make([]uint64, len(sources))
	for i, s := range sources {
		if list[i] = uint64(math.Round(s.Weight / total * weightSum)); list[i] == 0 {
			return nil, fmt.Errorf("%s: a weight of %g beside %g is too small", s.Shards.pattern, s.Weight, total)
		}
	}
	return list, nil
}

// sooner tells whether a source's n-th window is due before another's m-th: whether
// n/weight < m/other. Every source then has its share of the windows so far, to
// within one.
func sooner(n int64, weight uint64, m int64, other uint64) bool {
	highA, lowA := bits.Mul64(uint64(n), other)
	highB, lowB := bits.Mul64(uint64(m), weight)
	return highA < highB || highA == highB && lowA < lowB
}
