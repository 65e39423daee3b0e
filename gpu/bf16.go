package gpu

import "math"

// BF16Bits is f rounded to bfloat16, the upper half of a float32: to nearest, ties to
// even; NaNs stay NaNs, made quiet.
func BF16Bits(f float32) uint16 {
	bits := math.Float32bits(f)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// FromBF16 is the float32 that a bfloat16 stands for, exactly.
func FromBF16(u uint16) float32 { return math.Float32frombits(uint32(u) << 16) }
