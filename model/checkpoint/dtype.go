package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
)

// DType is an element type by its safetensors name.
type DType string

// The types that this package converts to and from float32, and the plain
// words of optimizer state. Others are only measured and read raw.
const (
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	U32  DType = "U32"
	U8   DType = "U8"
)

// Size is the bytes of one element; 0 means a type that is not known.
func (t DType) Size() int {
	switch t {
	case "BOOL", U8, "I8", "F8_E4M3", "F8_E5M2":
		return 1
	case F16, BF16, "I16", "U16":
		return 2
	case F32, "I32", U32:
		return 4
	case "F64", "I64", "U64":
		return 8
	}
	return 0
}

// Float says whether elements of this type can be read and written as float32.
func (t DType) Float() bool { return t == F32 || t == F16 || t == BF16 }

// decodeF32 widens len(dst) little-endian elements of src; exact for all three types.
func decodeF32(t DType, dst []float32, src []byte) {
	switch t {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case F16:
		for i := range dst {
			dst[i] = float16ToFloat32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
		}
	}
}

// EncodeF32 writes src into dst as elements of F32, F16 or BF16, little-endian, rounded to nearest even. A finite value
// that would become infinite is an error.
func EncodeF32(t DType, dst []byte, src []float32) error {
	if !t.Float() {
		return fmt.Errorf("numbers can be written as F32, F16 and BF16 only, not as %s", t)
	}
	return encodeF32(t, dst, src)
}

// encodeF32 rounds to nearest even. A finite value that would become infinite
// is an error: the file would load and be wrong.
func encodeF32(t DType, dst []byte, src []float32) error {
	switch t {
	case F32:
		for i, v := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
		return nil
	case F16:
		return encode16(t, dst, src, float32ToFloat16, 0x7c00)
	default:
		return encode16(t, dst, src, float32ToBFloat16, 0x7f80)
	}
}

func encode16(t DType, dst []byte, src []float32, round func(float32) uint16, inf uint16) error {
	for i, v := range src {
		h := round(v)
		if h&0x7fff == inf && !math.IsInf(float64(v), 0) {
			return fmt.Errorf("value %g does not fit into %s: choose F32", v, t)
		}
		binary.LittleEndian.PutUint16(dst[2*i:], h)
	}
	return nil
}

func float16ToFloat32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exponent := uint32(h >> 10 & 0x1f)
	fraction := uint32(h & 0x3ff)
	switch exponent {
	case 0: // zero and subnormal: fraction units of 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)*0x1p-24))
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

func float32ToFloat16(v float32) uint16 {
	bits := math.Float32bits(v)
	sign := uint16(bits >> 16 & 0x8000)
	bits &= 0x7fffffff
	switch {
	case bits > 0x7f800000: // NaN stays one, quiet
		return sign | 0x7e00
	case bits >= 0x477ff000: // 65520, halfway between the largest half and 2^16
		return sign | 0x7c00
	case bits < 0x38800000: // below 2^-14: units of 2^-24; 1024 of them are the smallest normal
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(bits))*0x1p24))
	}
	bits += 0xfff + bits>>13&1
	return sign | uint16((bits-112<<23)>>13)
}

func float32ToBFloat16(v float32) uint16 {
	bits := math.Float32bits(v)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
