package ref

import "math"

// Flash8Group is the consecutive elements whose moments share scales.
const Flash8Group = 32

// Codec keeps moments in bytes, as fractions of a scale, in float32 arithmetic
// operation by operation as kernels do it.
type Codec struct {
	DecodeM func(code int8, scale float32) float32
	EncodeM func(m, scale float32) int8
	DecodeV func(code uint8, scale float32) float32
	EncodeV func(v, scale float32) uint8
	RangeV  func(v float32) float32 // what the scale of v must reach for a greatest v
}

// Companded gives small values more codes (FlashOptim, arXiv 2602.23349): m through
// 2x / (1 + |x|), v by its root. A v above 0 has no code 0: as 0 under an m that is
// none, it would make a step of m / eps.
var Companded = Codec{
	DecodeM: func(code int8, scale float32) float32 {
		y := float32(code) / 127
		return y / (2 - abs(y)) * scale
	},
	EncodeM: func(m, scale float32) int8 {
		x := m / scale
		return int8(round((x + x) / (1 + abs(x)) * 127))
	},
	DecodeV: func(code uint8, scale float32) float32 {
		root := float32(code) / 255 * scale
		return root * root
	},
	EncodeV: func(v, scale float32) uint8 {
		code := uint8(round(root(v) / scale * 255))
		if v > 0 {
			code = max(code, 1)
		}
		return code
	},
	RangeV: root,
}

func abs(x float32) float32   { return float32(math.Abs(float64(x))) }
func root(x float32) float32  { return float32(math.Sqrt(float64(x))) }
func round(x float32) float32 { return float32(math.RoundToEven(float64(x))) }

// ScaleAbove is the least bfloat16 that is not below x, which is at least 0; 0 if x
// is not a normal number.
func ScaleAbove(x float32) uint16 {
	bits := math.Float32bits(x)
	if bits < 0x00800000 {
		return 0
	}
	return uint16((bits + 0xffff) >> 16)
}

// Flash8Bits is f in 24 bits: the bfloat16 of SplitBits and the rest to the nearest
// multiple of 256 that a byte holds.
func Flash8Bits(f float32) (hi uint16, lo int8) {
	hi, rest := SplitBits(f)
	return hi, int8(min((int32(rest)+128)>>8, 127))
}

// JoinFlash8Bits is the value that Flash8Bits stands for.
func JoinFlash8Bits(hi uint16, lo int8) float32 { return JoinBits(hi, int16(lo)<<8) }

// AdamWFlash8 is AdamWSplit in 24 bits, with moments of a byte each, four to a word;
// scales has two bfloat16 for each group, of m and of v.
func AdamWFlash8(weight, low, m, v, scales []uint32, grad, stats []float32, o AdamW, c Codec) {
	if !finiteNorm(stats) {
		return
	}
	for begin := 0; begin < len(grad); begin += Flash8Group {
		n := min(Flash8Group, len(grad)-begin)
		var master, first, second [Flash8Group]float32
		mScale, vScale := Scales(scales[begin/Flash8Group])
		for j := range n {
			i := begin + j
			master[j] = JoinFlash8Bits(half(weight, i), int8(octet(low, i)))
			first[j], second[j] = c.DecodeM(int8(octet(m, i)), mScale), c.DecodeV(octet(v, i), vScale)
		}
		AdamWF32(master[:n], first[:n], second[:n], grad[begin:], stats, o)
		mMost, vMost := float32(0), float32(0)
		for j := range n {
			mMost, vMost = max(mMost, abs(first[j])), max(vMost, second[j])
		}
		scales[begin/Flash8Group] = uint32(ScaleAbove(mMost)) | uint32(ScaleAbove(c.RangeV(vMost)))<<16
		mScale, vScale = Scales(scales[begin/Flash8Group])
		for j := range n {
			i := begin + j
			hi, lo := Flash8Bits(master[j])
			setHalf(weight, i, hi)
			setOctet(low, i, uint8(lo))
			setOctet(m, i, uint8(c.EncodeM(first[j], divisor(mScale))))
			setOctet(v, i, c.EncodeV(second[j], divisor(vScale)))
		}
	}
}

// Scales are a group's, of m and of v.
func Scales(word uint32) (m, v float32) {
	return math.Float32frombits(word << 16), math.Float32frombits(word & 0xffff0000)
}

// divisor avoids quotients by 0: where the scale is 0, all codes are.
func divisor(scale float32) float32 {
	if scale == 0 {
		return 1
	}
	return scale
}

// octet is 8-bit element i of words that hold four each.
func octet(words []uint32, i int) uint8 { return uint8(words[i/4] >> (i % 4 * 8)) }

func setOctet(words []uint32, i int, x uint8) {
	shift := i % 4 * 8
	words[i/4] = words[i/4]&^(0xff<<shift) | uint32(x)<<shift
}
