package ref

import "math"

// Draw is what a counter-based generator draws by, besides the number of the draw.
type Draw struct{ Key, Count uint32 }

// Drawn is four words of the generator pcg4d (Jarzynski and Olano 2020).
func Drawn(counter uint32, d Draw) [4]uint32 {
	v := [4]uint32{counter, d.Key, d.Count, 0x9e3779b9}
	mix := func() {
		v[0] += v[1] * v[3]
		v[1] += v[2] * v[0]
		v[2] += v[0] * v[1]
		v[3] += v[1] * v[2]
	}
	for i := range v {
		v[i] = v[i]*1664525 + 1013904223
	}
	mix()
	for i := range v {
		v[i] ^= v[i] >> 16
	}
	mix()
	return v
}

// Stochastic is f rounded to bfloat16, up in magnitude if draw, of 16 bits, is not below what
// is left to the upper one: so often that on average nothing is lost. NaNs stay NaNs.
func Stochastic(f float32, draw uint16) uint16 {
	bits := math.Float32bits(f)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + uint32(draw)) >> 16)
}

// storeStochastic rounds values to bfloat16, two to a word; first is the number of the first
// eight of them.
func storeStochastic(words []uint32, values []float32, first int, d Draw) {
	for i := 0; i < len(values); i += 8 {
		draws := Drawn(uint32(first+i/8), d)
		for j, f := range values[i:min(len(values), i+8)] {
			setHalf(words, i+j, Stochastic(f, uint16(draws[j%4]>>(j/4*16))))
		}
	}
}
