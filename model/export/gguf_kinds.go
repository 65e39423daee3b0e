package export

import (
	"encoding/binary"
	"fmt"
	"math"

	"steplm/model/checkpoint"
)

// ggufKind is how a tensor's numbers lie in a GGUF file.
type ggufKind struct {
	number uint32           // in a tensor's info
	file   uint32           // general.file_type of a file that has mostly this
	dtype  checkpoint.DType // "": Q8_0
}

// The kinds that are written.
var ggufKinds = map[DType]ggufKind{
	F32: {0, 0, checkpoint.F32}, F16: {1, 1, checkpoint.F16}, BF16: {30, 32, checkpoint.BF16}, Q8: {8, 7, ""},
}

// Blocks of Q8_0: 32 numbers of a row, an F16 and 32 bytes.
const (
	q8Block = 32
	q8Bytes = 2 + q8Block
)

// rowBytes is what a row takes.
func (k ggufKind) rowBytes(cols int) int64 {
	if k.dtype == "" {
		return int64(cols / q8Block * q8Bytes)
	}
	return int64(cols * k.dtype.Size())
}

// fits reports whether rows can be kept so.
func (k ggufKind) fits(cols int) bool { return k.dtype != "" || cols%q8Block == 0 }

// encode appends whole rows to dst.
func (k ggufKind) encode(dst []byte, values []float32) ([]byte, error) {
	if k.dtype == "" {
		return appendQ8(dst, values)
	}
	at := len(dst)
	dst = append(dst, make([]byte, len(values)*k.dtype.Size())...)
	return dst, checkpoint.EncodeF32(k.dtype, dst[at:], values)
}

// appendQ8 appends blocks of Q8_0: d, the largest magnitude over 127, as F16, and each number over the d that was not
// rounded yet, to the nearest whole number, halves away from zero.
func appendQ8(dst []byte, values []float32) ([]byte, error) {
	for at := 0; at < len(values); at += q8Block {
		block := values[at : at+q8Block]
		most := float32(0)
		for _, v := range block {
			most = max(most, float32(math.Abs(float64(v))))
		}
		d, inverse := most/127, float32(0)
		if inverse = 1 / d; math.IsInf(float64(inverse), 0) { // All are zero, or next to it.
			inverse = 0
		}
		var scale [2]byte
		if err := checkpoint.EncodeF32(checkpoint.F16, scale[:], []float32{d}); err != nil {
			return nil, fmt.Errorf("the scale of a block of Q8_0: %w", err)
		}
		dst = binary.LittleEndian.AppendUint16(dst, binary.LittleEndian.Uint16(scale[:]))
		for _, v := range block {
			x := v * inverse
			dst = append(dst, byte(int8(math.Copysign(math.Floor(math.Abs(float64(x))+0.5), float64(x)))))
		}
	}
	return dst, nil
}
