package ref

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Linear has codes in proportion to the values: the negative control.
var Linear = Codec{
	DecodeM: func(code int8, scale float32) float32 { return float32(code) / 127 * scale },
	EncodeM: func(m, scale float32) int8 { return int8(round(m / scale * 127)) },
	DecodeV: func(code uint8, scale float32) float32 { return float32(code) / 255 * scale },
	EncodeV: func(v, scale float32) uint8 { return uint8(round(v / scale * 255)) },
	RangeV:  func(v float32) float32 { return v },
}

var codecs = map[string]Codec{"companded": Companded, "linear": Linear}

// Every code but the unused -128 comes back from its value, and greater codes are
// greater values.
func TestCodecsKeepCodes(t *testing.T) {
	for name, c := range codecs {
		for _, scale := range []float32{1, 3e-7, 1.5e10} {
			for code := -127; code <= 127; code++ {
				x := c.DecodeM(int8(code), scale)
				if got := c.EncodeM(x, scale); got != int8(code) {
					t.Errorf("%s: m of code %d and scale %g, %g, gets code %d", name, code, scale, x, got)
				}
				if code > -127 && !(x > c.DecodeM(int8(code-1), scale)) {
					t.Errorf("%s: m of code %d and scale %g is not above the one before", name, code, scale)
				}
			}
			for code := range 256 {
				x := c.DecodeV(uint8(code), scale)
				if got := c.EncodeV(x, scale); got != uint8(code) {
					t.Errorf("%s: v of code %d and scale %g, %g, gets code %d", name, code, scale, x, got)
				}
			}
		}
		if m, v := c.DecodeM(127, 3), c.DecodeV(255, c.RangeV(9)); m != 3 || v != 9 {
			t.Errorf("%s: the greatest m and v are %g and %g, want 3 and 9", name, m, v)
		}
	}
}

// Companding bounds the error of a small m by less than linear codes do; no v above 0
// becomes 0, as it does with linear codes.
func TestCompandedKeepsSmallMoments(t *testing.T) {
	worst := func(c Codec, most float64) float64 {
		e := 0.0
		for x := -most; x <= most; x += most / 500 {
			e = max(e, math.Abs(float64(c.DecodeM(c.EncodeM(float32(x), 1), 1))-x))
		}
		return e
	}
	for _, c := range []struct{ most, companded, linear float64 }{{0.1, 0.0024, 0.0040}, {1, 0.0079, 0.0040}} {
		if a, b := worst(Companded, c.most), worst(Linear, c.most); a > c.companded || b > c.linear ||
			a < c.companded/2 || b < c.linear/2 {
			t.Errorf("values to %g: errors to %g companded and %g linear, want about %g and %g", c.most, a, b,
				c.companded, c.linear)
		}
	}
	for _, v := range []float32{1, 1e-5, 1e-12, 1e-30, 1e-38} {
		if Companded.EncodeV(v, 1) == 0 {
			t.Errorf("v %g of scale 1 gets code 0", v)
		}
	}
	if Companded.EncodeV(0, 1) != 0 || Companded.EncodeM(0, 1) != 0 || Companded.DecodeV(0, 1) != 0 ||
		Companded.DecodeM(0, 1) != 0 {
		t.Error("zeros do not stay zeros")
	}
	if Linear.EncodeV(1e-3, 1) != 0 {
		t.Error("the linear codec is no negative control")
	}
}

func TestScaleAbove(t *testing.T) {
	for bits, want := range map[uint32]uint16{
		0: 0, 1: 0, 0x007fffff: 0, // what is no normal number
		0x00800000: 0x0080, 0x00800001: 0x0081,
		0x3f800000: 0x3f80, 0x3f800001: 0x3f81, 0x3f80ffff: 0x3f81, 0x3f810000: 0x3f81, 0x3fffffff: 0x4000,
	} {
		if got := ScaleAbove(math.Float32frombits(bits)); got != want {
			t.Errorf("above %#x: %#x, want %#x", bits, got, want)
		}
	}
}

// 24 bits are the nearest, but where the byte ends, and keep what they can hold.
func TestFlash8Bits(t *testing.T) {
	for upper := range uint32(1 << 16) {
		for _, lower := range []uint32{0, 1, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7f00, 0x7f7f, 0x7f80, 0x7fff, 0x8000,
			0x807f, 0x8080, 0xff7f, 0xff80, 0xffff} {
			bits := upper<<16 | lower
			f := math.Float32frombits(bits)
			hi, lo := Flash8Bits(f)
			back := JoinFlash8Bits(hi, lo)
			if f != f {
				if back == back {
					t.Fatalf("NaN %#x comes back as %g", bits, back)
				}
				continue
			}
			if want, _ := SplitBits(f); hi != want {
				t.Fatalf("the weight of %#x is %#x, want %#x", bits, hi, want)
			}
			off, most := int64(math.Float32bits(back))-int64(bits), int64(128)
			if lower >= 0x7f80 && lower < 0x8000 {
				most = 255
			}
			if off > most || -off > most {
				t.Fatalf("%#x comes back as %#x", bits, math.Float32bits(back))
			}
			if again, rest := Flash8Bits(back); back-back == 0 && JoinFlash8Bits(again, rest) != back {
				t.Fatalf("%#x comes back as %#x and then as %#x", bits, math.Float32bits(back),
					math.Float32bits(JoinFlash8Bits(again, rest)))
			}
		}
	}
}

// A group of one gradient by hand: the first step's moments are the gradient's, the
// scales rounded up, and other elements stay zero.
func TestAdamWFlash8ByHand(t *testing.T) {
	weight, low, m, v, scales := []uint32{0x3f80}, []uint32{0}, []uint32{0}, []uint32{0}, []uint32{0}
	o := AdamW{LR: 0.5, Beta1: 0.5, Beta2: 0.75, Correction1: 0.5, Correction2: 0.25, Eps: 1e-30}
	AdamWFlash8(weight, low, m, v, scales, []float32{-4, 0}, []float32{0, 4, 0.5, 0}, o, Companded)
	// g -2: m -1, v 1, sqrt(v) 1: codes -127 and 255 of scales 1; the weight is 1 + 0.5.
	if weight[0] != 0x3fc0 || low[0] != 0 || m[0] != 0x81 || v[0] != 0xff || scales[0] != 0x3f803f80 {
		t.Errorf("weight %#x, low %#x, m %#x, v %#x, scales %#x", weight[0], low[0], m[0], v[0], scales[0])
	}
}

// After gradients have become ten times smaller, v in bytes is within a third of v in
// full up to a Beta2 of 0.99; at 0.999 a step's decay is less than half a code and the
// scale's rounding, and v stays: the limit that AdamWFlash8 declares.
func TestFlash8FollowsFallingGradients(t *testing.T) {
	for _, c := range []struct {
		beta2     float32
		low, high float64 // of the mean ratio
	}{{0.95, 0.75, 1.33}, {0.98, 0.75, 1.33}, {0.99, 0.75, 1.33}, {0.999, 10, 100}} {
		g := rand.New(rand.NewPCG(1, 1))
		weight, low, m, v, scales := make([]uint32, 16), make([]uint32, 8), make([]uint32, 8), make([]uint32,
			8), []uint32{0}
		full := [3][]float64{make([]float64, 32), make([]float64, 32), make([]float64, 32)}
		o := AdamW{Beta1: 0.9, Beta2: c.beta2, Correction1: 1, Correction2: 1, Eps: 1e-8}
		steps := int(4 / (1 - c.beta2))
		for i := range 2 * steps {
			grad, wide := make([]float32, 32), make([]float64, 32)
			for j := range grad {
				grad[j] = float32(g.NormFloat64() * math.Pow(10, -float64(j)/16)) // two orders of magnitude
				if i >= steps {
					grad[j] /= 10
				}
				wide[j] = float64(grad[j])
			}
			AdamWFlash8(weight, low, m, v, scales, grad, []float32{0, 1, 1}, o, Companded)
			AdamWF32(full[0], full[1], full[2], wide, []float64{0, 1, 1}, o)
		}
		_, scale := Scales(scales[0])
		ratio := 0.0
		for j := range 32 {
			ratio += math.Log(float64(Companded.DecodeV(octet(v, j), scale))/full[2][j]) / 32
		}
		if ratio = math.Exp(ratio); ratio < c.low || ratio > c.high {
			t.Errorf("beta2 %g: v in bytes is %.3g times v in full, want %g to %g", c.beta2, ratio, c.low, c.high)
		}
	}
}
