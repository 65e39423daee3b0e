package sample

import (
	"cmp"
	"math"
	"slices"
)

// Next is the token that comes next: the n-th of its sequence that is drawn. The same Config, logits, history and n
// give the same token.
func (c Config) Next(logits []float32, history, banned []uint32, n int) (uint32, error) {
	if c.Greedy() && !c.penalized() {
		return likeliest(logits, banned)
	}
	if !c.Greedy() && !c.cut() {
		return c.any(logits, history, banned, n)
	}
	probs, err := c.Distribution(logits, history, banned)
	if err != nil {
		return 0, err
	}
	u := c.draw(n)
	for _, p := range probs {
		if u -= p.P; u < 0 {
			return p.ID, nil
		}
	}
	return probs[len(probs)-1].ID, nil // what rounding left
}

// any draws from all tokens, which it need not put in order.
func (c Config) any(logits []float32, history, banned []uint32, n int) (uint32, error) {
	list, err := c.prepare(logits, history, banned)
	if err != nil {
		return 0, err
	}
	u := c.draw(n) * exponentials(list)
	for _, s := range list {
		if u -= s.e; u < 0 {
			return s.id, nil
		}
	}
	return slices.MinFunc(list, compare).id, nil // what rounding left
}

// likeliest is the first of the largest logits.
func likeliest(logits []float32, banned []uint32) (uint32, error) {
	if err := Check(logits); err != nil {
		return 0, err
	}
	best := -1
	for id, l := range logits {
		if (best < 0 || l > logits[best]) && !slices.Contains(banned, uint32(id)) {
			best = id
		}
	}
	if best < 0 || math.IsInf(float64(logits[best]), -1) {
		return 0, errNone
	}
	return uint32(best), nil
}

// draw is a number from 0 to 1 with 53 bits: the n-th of the generator splitmix64 (Steele et al. 2014, "Fast Splittable
// Pseudorandom Number Generators"), whose n-th state follows from the seed and n alone.
func (c Config) draw(n int) float64 {
	return float64(splitmix64(c.Seed, uint64(n))>>11) / (1 << 53)
}

func splitmix64(seed, n uint64) uint64 {
	z := seed + (n+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// LogProb is ln p of a token in the model's own distribution, before anything changes it.
func LogProb(logits []float32, id uint32) float64 { return float64(logits[id]) - logSum(logits) }

// logSum is the logarithm of the softmax's denominator.
func logSum(logits []float32) float64 {
	most := float64(slices.Max(logits))
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) - most)
	}
	return most + math.Log(sum)
}

// LogProbOf is a token with ln p.
type LogProbOf struct {
	ID      uint32
	LogProb float64
}

// Top is ln p of a token, see LogProb, and of the n likeliest, those first and of equals the smaller id.
func Top(logits []float32, id uint32, n int) (own float64, list []LogProbOf) {
	sum := logSum(logits)
	worse := func(a, b uint32) int {
		return cmp.Or(cmp.Compare(logits[b], logits[a]), cmp.Compare(a, b))
	}
	best := make([]uint32, 0, n+1)
	for i := range logits {
		if len(best) == n && (n == 0 || logits[i] <= logits[best[n-1]]) {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, uint32(i), worse)
		if best = slices.Insert(best, at, uint32(i)); len(best) > n {
			best = best[:n]
		}
	}
	for _, x := range best {
		list = append(list, LogProbOf{x, float64(logits[x]) - sum})
	}
	return float64(logits[id]) - sum, list
}
