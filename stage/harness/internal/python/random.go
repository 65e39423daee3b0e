// Package python draws random numbers as Python does, so that what it draws with a seed can be drawn again.
package python

import (
	"math/bits"
	"slices"
)

// Random is Python's generator: MT19937 (Matsumoto and Nishimura, 1998) with the seeds and draws of its module random.
type Random struct {
	state [624]uint32
	at    int
}

// NewRandom is Random(seed).
func NewRandom(seed uint64) *Random {
	key := []uint32{uint32(seed)}
	if high := uint32(seed >> 32); high != 0 {
		key = append(key, high)
	}
	r := &Random{}
	r.init(19650218)
	i, j := 1, 0
	for range max(len(r.state), len(key)) {
		r.state[i] = (r.state[i] ^ (r.state[i-1]^r.state[i-1]>>30)*1664525) + key[j] + uint32(j)
		if i++; i == len(r.state) {
			r.state[0], i = r.state[len(r.state)-1], 1
		}
		if j++; j == len(key) {
			j = 0
		}
	}
	for range len(r.state) - 1 {
		r.state[i] = (r.state[i] ^ (r.state[i-1]^r.state[i-1]>>30)*1566083941) - uint32(i)
		if i++; i == len(r.state) {
			r.state[0], i = r.state[len(r.state)-1], 1
		}
	}
	r.state[0] = 1 << 31
	return r
}

func (r *Random) init(seed uint32) {
	r.state[0] = seed
	for i := 1; i < len(r.state); i++ {
		r.state[i] = 1812433253*(r.state[i-1]^r.state[i-1]>>30) + uint32(i)
	}
	r.at = len(r.state)
}

// Next is 32 random bits.
func (r *Random) Next() uint32 {
	if r.at == len(r.state) {
		r.twist()
	}
	y := r.state[r.at]
	r.at++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (r *Random) twist() {
	const n, m = len(r.state), 397
	for i := range n {
		y := r.state[i]&(1<<31) | r.state[(i+1)%n]&(1<<31-1)
		x := r.state[(i+m)%n] ^ y>>1
		if y&1 != 0 {
			x ^= 0x9908b0df
		}
		r.state[i] = x
	}
	r.at = 0
}

// Float is random(): 53 bits in [0, 1).
func (r *Random) Float() float64 {
	a, b := r.Next()>>5, r.Next()>>6
	return (float64(a)*(1<<26) + float64(b)) / (1 << 53)
}

// Below is a number in [0, n), 1 <= n < 2^32.
func (r *Random) Below(n int) int {
	k := bits.Len(uint(n))
	for {
		if x := int(r.Next() >> (32 - k)); x < n {
			return x
		}
	}
}

// Sample is which k of n things sample() draws, in its order.
func (r *Random) Sample(n, k int) []int {
	chosen := make([]int, k)
	set := 21
	if k > 5 {
		power := 4
		for ; power < 3*k; power *= 4 {
		}
		set += power
	}
	if n <= set {
		pool := make([]int, n)
		for i := range pool {
			pool[i] = i
		}
		for i := range chosen {
			j := r.Below(n - i)
			chosen[i], pool[j] = pool[j], pool[n-i-1]
		}
		return chosen
	}
	for i := range chosen {
		j := r.Below(n)
		for slices.Contains(chosen[:i], j) {
			j = r.Below(n)
		}
		chosen[i] = j
	}
	return chosen
}
