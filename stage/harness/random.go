package harness

import (
	"math/bits"
	"slices"
)

// random is Python's generator: MT19937 (Matsumoto and Nishimura, 1998) with the seeds and draws of its module random.
type random struct {
	state [624]uint32
	at    int
}

// newRandom is Random(seed).
func newRandom(seed uint64) *random {
	key := []uint32{uint32(seed)}
	if high := uint32(seed >> 32); high != 0 {
		key = append(key, high)
	}
	r := &random{}
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

func (r *random) init(seed uint32) {
	r.state[0] = seed
	for i := 1; i < len(r.state); i++ {
		r.state[i] = 1812433253*(r.state[i-1]^r.state[i-1]>>30) + uint32(i)
	}
	r.at = len(r.state)
}

// next is 32 random bits.
func (r *random) next() uint32 {
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

func (r *random) twist() {
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

// float is random(): 53 bits in [0, 1).
func (r *random) float() float64 {
	a, b := r.next()>>5, r.next()>>6
	return (float64(a)*(1<<26) + float64(b)) / (1 << 53)
}

// below is a number in [0, n), 1 <= n < 2^32.
func (r *random) below(n int) int {
	k := bits.Len(uint(n))
	for {
		if x := int(r.next() >> (32 - k)); x < n {
			return x
		}
	}
}

// sample is which k of n things sample() draws, in its order.
func (r *random) sample(n, k int) []int {
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
			j := r.below(n - i)
			chosen[i], pool[j] = pool[j], pool[n-i-1]
		}
		return chosen
	}
	for i := range chosen {
		j := r.below(n)
		for slices.Contains(chosen[:i], j) {
			j = r.below(n)
		}
		chosen[i] = j
	}
	return chosen
}
