package ref

import "math"

// SplitBits is f as the bfloat16 next to it, ties away from zero, and what its bits
// are beyond that. With ties to even the rest would not fit: an even bfloat16
// would stand for 65,537 values. NaNs stay NaNs, others than they were.
func SplitBits(f float32) (hi uint16, lo int16) {
	bits := math.Float32bits(f)
	hi = uint16((bits + 0x8000) >> 16)
	if bits&0x7fffffff > 0x7f800000 {
		hi = uint16(bits>>16) | 0x40
	}
	return hi, int16(uint16(bits - uint32(hi)<<16))
}

// JoinBits is SplitBits's inverse, exact for every value but NaNs.
func JoinBits(hi uint16, lo int16) float32 {
	return math.Float32frombits(uint32(hi)<<16 + uint32(int32(lo)))
}

// half is 16-bit element i of words that hold two each.
func half(words []uint32, i int) uint16 { return uint16(words[i/2] >> (i % 2 * 16)) }

func setHalf(words []uint32, i int, x uint16) {
	shift := i % 2 * 16
	words[i/2] = words[i/2]&^(0xffff<<shift) | uint32(x)<<shift
}
