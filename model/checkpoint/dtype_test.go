package checkpoint

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

// Known bit patterns: IEEE 754 binary16 and the upper half of binary32.
func TestConversionTable(t *testing.T) {
	nan := float32(math.NaN())
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		value    float32
		f16, b16 uint16
	}{
		{0, 0, 0},
		{float32(math.Copysign(0, -1)), 0x8000, 0x8000},
		{1, 0x3c00, 0x3f80},
		{-2, 0xc000, 0xc000},
		{65504, 0x7bff, 0x4780},
		{65519.996, 0x7bff, 0x4780},
		{65520, 0x7c00, 0x4780}, // ties to even, which is infinity
		{0x1p-14, 0x0400, 0x3880},
		{0x1p-24, 0x0001, 0x3380},
		{0x1p-25, 0x0000, 0x3300}, // tie: even is zero
		{0x1.8p-24, 0x0002, 0x33c0},
		{0x1.ffcp-15, 0x0400, 0x3880}, // the largest subnormal + half a unit rounds to normal
		{1 + 0x1p-11, 0x3c00, 0x3f80}, // tie down
		{1 + 0x3p-11, 0x3c02, 0x3f80}, // tie up
		{1 + 0x1p-8, 0x3c04, 0x3f80},  // bf16 tie down
		{1 + 0x3p-8, 0x3c0c, 0x3f82},  // bf16 tie up
		{inf, 0x7c00, 0x7f80},
		{-inf, 0xfc00, 0xff80},
		{nan, 0x7e00, 0x7fc0},
	} {
		if got := float32ToFloat16(c.value); got != c.f16 {
			t.Errorf("%g as f16 = %#04x, want %#04x", c.value, got, c.f16)
		}
		if got := float32ToBFloat16(c.value); got != c.b16 {
			t.Errorf("%g as bf16 = %#04x, want %#04x", c.value, got, c.b16)
		}
	}
}

// Every half value goes to float32 and back unchanged, and to the value that
// its fields mean.
func TestEveryHalf(t *testing.T) {
	for h := 0; h < 1<<16; h++ {
		bits := uint16(h)
		got := float16ToFloat32(bits)
		exponent, fraction := int(bits>>10&31), float64(bits&0x3ff)
		want := math.Ldexp(1+fraction/1024, exponent-15)
		switch {
		case exponent == 31 && fraction != 0:
			if !math.IsNaN(float64(got)) {
				t.Fatalf("%#04x = %g, want NaN", bits, got)
			}
			continue
		case exponent == 31:
			want = math.Inf(1)
		case exponent == 0:
			want = math.Ldexp(fraction, -24)
		}
		if bits&0x8000 != 0 {
			want = -want
		}
		if float64(got) != want || math.Signbit(float64(got)) != (bits&0x8000 != 0) {
			t.Fatalf("%#04x = %g, want %g", bits, got, want)
		}
		if back := float32ToFloat16(got); back != bits {
			t.Fatalf("%#04x -> %g -> %#04x", bits, got, back)
		}
	}
}

// Rounding is to the nearest of the two neighbours, found without the code under test.
func TestHalfRoundsToNearest(t *testing.T) {
	for low := uint16(0); low < 0x7bff; low++ {
		a, b := float64(float16ToFloat32(low)), float64(float16ToFloat32(low+1))
		middle := (a + b) / 2 // exact in float32: one more bit than a half has
		even := low + low&1
		for _, c := range []struct {
			value float32
			want  uint16
		}{
			{float32(middle), even},
			{math.Nextafter32(float32(middle), 0), low},
			{math.Nextafter32(float32(middle), 1e9), low + 1},
		} {
			if got := float32ToFloat16(c.value); got != c.want {
				t.Fatalf("%g between %#04x and its successor: %#04x, want %#04x", c.value, low, got, c.want)
			}
		}
	}
}

func TestEncodeRefusesOverflow(t *testing.T) {
	dst := make([]byte, 4)
	for _, c := range []struct {
		dtype DType
		value float32
		fits  bool
	}{
		{F16, 65504, true}, {F16, 65520, false}, {F16, -70000, false}, {F16, float32(math.Inf(-1)), true},
		{BF16, 3e38, true}, {BF16, math.MaxFloat32, false}, {BF16, float32(math.Inf(1)), true},
		{F32, math.MaxFloat32, true},
	} {
		err := encodeF32(c.dtype, dst, []float32{c.value})
		if (err == nil) != c.fits {
			t.Errorf("%g as %s: error %v, want fits %t", c.value, c.dtype, err, c.fits)
		}
		if err != nil && !strings.Contains(err.Error(), string(c.dtype)) {
			t.Errorf("%q does not name %s", err, c.dtype)
		}
	}
	var back [1]float32
	binary.LittleEndian.PutUint16(dst, 0xbf80)
	decodeF32(BF16, back[:], dst)
	if back[0] != -1 {
		t.Errorf("bf16 0xbf80 = %g, want -1", back[0])
	}
}
