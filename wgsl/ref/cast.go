package ref

import "math"

// BF16 is f rounded to bfloat16, ties to even; NaNs stay NaNs, made quiet.
func BF16(f float32) uint16 {
	bits := math.Float32bits(f)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// CastToBF16 packs n elements of x two to a word, the lower half first.
func CastToBF16(out []uint32, x []float32, n int) {
	for i := range n {
		if i%2 == 0 {
			out[i/2] = 0
		}
		out[i/2] |= uint32(BF16(x[i])) << (i % 2 * 16)
	}
}

// CastFromBF16 unpacks n elements of x.
func CastFromBF16(out []float32, x []uint32, n int) {
	for i := range n {
		out[i] = math.Float32frombits(x[i/2] >> (i % 2 * 16) << 16)
	}
}
