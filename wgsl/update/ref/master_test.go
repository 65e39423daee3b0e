package ref

import (
	"math"
	"testing"
)

func TestSplitBits(t *testing.T) {
	for bits, want := range map[uint32]struct {
		hi uint16
		lo int16
	}{
		0:          {0, 0},
		0x80000000: {0x8000, 0}, // -0
		0x3f800000: {0x3f80, 0},
		0x3f807fff: {0x3f80, 0x7fff},
		0x3f808000: {0x3f81, -0x8000}, // ties away from zero, not to even
		0x3f818000: {0x3f82, -0x8000},
		0xbf808000: {0xbf81, -0x8000},
		0x3f80ffff: {0x3f81, -1},
		0x00000001: {0, 1}, // denormals
		0x00008000: {1, -0x8000},
		0x807fffff: {0x8080, -1},
		0x7f7fffff: {0x7f80, -1}, // the greatest values' halves are infinities
		0xff7fffff: {0xff80, -1},
		0x7f800000: {0x7f80, 0},
		0xff800000: {0xff80, 0},
	} {
		hi, lo := SplitBits(math.Float32frombits(bits))
		if hi != want.hi || lo != want.lo {
			t.Errorf("%#x splits into %#x and %d, want %#x and %d", bits, hi, lo, want.hi, want.lo)
		}
	}
}

// Splitting loses nothing, whatever the upper half, at and beside every tie.
func TestSplitBitsLosesNothing(t *testing.T) {
	for upper := range uint32(1 << 16) {
		for _, lower := range []uint32{0, 1, 0x7f, 0x80, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0x8002, 0xa5a5, 0xff7f, 0xff80,
			0xffff} {
			bits := upper<<16 | lower
			f := math.Float32frombits(bits)
			hi, lo := SplitBits(f)
			back := JoinBits(hi, lo)
			if f != f {
				if back == back || hi&0x7fff <= 0x7f80 {
					t.Fatalf("NaN %#x splits into %#x and %d and comes back as %g", bits, hi, lo, back)
				}
			} else if math.Float32bits(back) != bits {
				t.Fatalf("%#x splits into %#x and %d and comes back as %#x", bits, hi, lo, math.Float32bits(back))
			}
		}
	}
}
