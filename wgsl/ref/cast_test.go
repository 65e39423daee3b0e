package ref

import (
	"math"
	"testing"
)

func TestBF16(t *testing.T) {
	for bits, want := range map[uint32]uint16{
		0x3f800000: 0x3f80, // 1
		0x3f808000: 0x3f80, // a tie, down to even
		0x3f818000: 0x3f82, // a tie, up to even
		0x3f808001: 0x3f81,
		0x3f80ffff: 0x3f81,
		0x80000001: 0x8000, // a denormal to minus zero
		0x7f7fffff: 0x7f80, // overflow to infinity
		0xff800000: 0xff80,
		0x7f800001: 0x7fc0, // a NaN whose upper half alone would be infinity
		0xffc00001: 0xffc0,
	} {
		if got := BF16(math.Float32frombits(bits)); got != want {
			t.Errorf("%#x rounds to %#x, want %#x", bits, got, want)
		}
	}
}

// Every finite bfloat16 is its own nearest.
func TestBF16RoundTrip(t *testing.T) {
	for i := range uint32(1 << 16) {
		x := make([]float32, 1)
		CastFromBF16(x, []uint32{i}, 1)
		if got := BF16(x[0]); x[0] == x[0] && uint32(got) != i {
			t.Fatalf("%#x comes back as %#x", i, got)
		}
	}
}
