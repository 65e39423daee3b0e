package ref

import (
	"math"
	"slices"
	"testing"
)

// Groups by hand, each a row of at most 64.
func TestQuantizeByHand(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for name, c := range map[string]struct {
		x     []float32
		q     []int8
		scale float32
		back  []float32
	}{
		"whole steps": {[]float32{127, -127, 3, 0, -1}, []int8{127, -127, 3, 0, -1}, 1,
			[]float32{127, -127, 3, 0, -1}},
		"halves go away": {[]float32{254, 1, -1, 3, -5, 0.999, 253}, []int8{127, 1, -1, 2, -3, 0, 127}, 2,
			[]float32{254, 2, -2, 4, -6, 0, 254}},
		"negative alone": {[]float32{-127}, []int8{-127}, 1, []float32{-127}},
		"zeros":          {[]float32{0, float32(math.Copysign(0, -1))}, []int8{0, 0}, 0, []float32{0, 0}},
		"too small":      {[]float32{0x1.fffffep-119, -0x1p-149}, []int8{0, 0}, 0, []float32{0, 0}},
		"infinity":       {[]float32{1, inf}, []int8{0, 0}, nan, []float32{nan, nan}},
		"NaN":            {[]float32{nan, 1}, []int8{0, 0}, nan, []float32{nan, nan}},
		"the greatest number": {[]float32{-math.MaxFloat32, 1}, []int8{-127, 0}, 0x1.0204p+121,
			[]float32{-127 * 0x1.0204p+121, 0}},
	} {
		n := len(c.x)
		q, scales, back := make([]int8, n), make([]float32, 1), make([]float32, n)
		Quantize(q, scales, c.x, 1, n)
		Dequantize(back, q, scales, 1, n)
		same := func(a, b float32) bool { return a == b || a != a && b != b }
		if !slices.Equal(q, c.q) || !same(scales[0], c.scale) || !slices.EqualFunc(back, c.back, same) {
			t.Errorf("%s: %v becomes %v times %x = %v, want %v times %x = %v", name, c.x, q, scales[0], back, c.q,
				c.scale, c.back)
		}
	}
}

// Groups end with their row: 65 columns are groups of 64 and 1.
func TestQuantizeGroups(t *testing.T) {
	x := make([]float32, 2*65)
	x[0], x[64], x[65], x[129] = 127, 254, 508, -1016
	q, scales := make([]int8, len(x)), make([]float32, 4)
	Quantize(q, scales, x, 2, 65)
	if want := []float32{1, 2, 4, 8}; !slices.Equal(scales, want) {
		t.Errorf("scales %v, want %v", scales, want)
	}
}

// Devices may take denormals for 0: none is compared with.
func TestQuantizeBoundsAreNormal(t *testing.T) {
	const normal = 0x1p-126
	for _, most := range []float32{0x1p-118, 0x1.000002p-118, 0x1.fcp-118, 0x1p-117} {
		q, scales := make([]int8, 1), make([]float32, 1)
		Quantize(q, scales, []float32{most}, 1, 1)
		if q[0] != 127 || scales[0]/2 < normal {
			t.Errorf("%x becomes %d times %x, half of which is below %x", most, q[0], scales[0], normal)
		}
	}
}
