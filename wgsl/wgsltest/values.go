package wgsltest

import (
	"math/rand/v2"
)

// Shapes have columns around the pair, the padding and the workgroup.
var Shapes = [][2]int{{1, 1}, {3, 5}, {2, 8}, {1, 63}, {2, 64}, {3, 65}, {1, 128}, {5, 130}, {40, 1000}}

// special holds every kind of value that arithmetic might not pass on as it is.
var special = []uint32{
	0, 0x80000000, 1, 0x807fffff, 0x00800000, // zeros, denormals, the least normal
	0x7f7fffff, 0x7f800000, 0xff800000, // the greatest, infinities
	0x7fc00000, 0xffc12345, 0x7f800001, 0xff812345, // NaNs, quiet and signalling
	0x3f800000, 0xbf800001,
}

// BF16Cases are floats and what they round to.
var BF16Cases = map[uint32]uint16{
	0x3f800000: 0x3f80,                                         // 1
	0x3f808000: 0x3f80,                                         // a tie, down to even
	0x3f818000: 0x3f82,                                         // a tie, up to even
	0x3f807fff: 0x3f80, 0x3f808001: 0x3f81, 0x3f80ffff: 0x3f81, // around it
	0xbf808000: 0xbf80, 0xbf818000: 0xbf82, // both signs
	0x00000001: 0x0000, 0x80000001: 0x8000, // denormals to zeros of their sign,
	0x00008000: 0x0000, 0x00018000: 0x0002, 0x00008001: 0x0001, // to denormals
	0x007fffff: 0x0080, 0x807fffff: 0x8080, // and to the least normal
	0x7f7f7fff: 0x7f7f, 0x7f7f8000: 0x7f80, 0x7f7fffff: 0x7f80, 0xff7fffff: 0xff80, // overflow to infinity
	0x7f800000: 0x7f80, 0xff800000: 0xff80,
	0x7f800001: 0x7fc0, 0xff800001: 0xffc0, // NaNs whose upper half alone would be infinity
	0x7fc00000: 0x7fc0, 0xffc12345: 0xffc1, 0x7fffffff: 0x7fff, 0x7fbfffff: 0x7fff,
}

// Awkward is an even number of floats: the special ones, ties, what lies beside
// them, and random bits.
func Awkward() []uint32 {
	var list []uint32
	for bits := range BF16Cases {
		list = append(list, bits)
	}
	list = append(list, special...)
	g := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		bits := g.Uint32()
		list = append(list, bits, bits&0xffff0000|0x8000, bits&0xffff0000|0x7fff, bits&0xffff0000|0x8001)
	}
	return list[:len(list)/2*2]
}

// Widened is x in float64.
func Widened(x []float32) []float64 {
	list := make([]float64, len(x))
	for i, v := range x {
		list[i] = float64(v)
	}
	return list
}

// Narrowed is x in float32.
func Narrowed(x []float64) []float32 {
	list := make([]float32, len(x))
	for i, v := range x {
		list[i] = float32(v)
	}
	return list
}
