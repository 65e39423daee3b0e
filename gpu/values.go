package gpu

import (
	"fmt"
	"math"
)

// chunkBytes bounds the host memory that reading and writing values takes.
const chunkBytes = 4 << 20

// ReadF32 reads all values of an F32 or BF16 tensor, row-major, without padding.
func ReadF32(d Device, t Tensor) ([]float32, error) {
	f := make([]float32, t.Elements())
	return f, ReadRows(d, t, 0, f)
}

// WriteF32 writes all values of an F32 or BF16 tensor, see WriteRows.
func WriteF32(d Device, t Tensor, f []float32) error {
	if len(f) != t.Elements() {
		return fmt.Errorf("tensor %s: %d values written to %d elements", t.Name, len(f), t.Elements())
	}
	return WriteRows(d, t, 0, f)
}

// ReadRows fills dst, whole rows without padding, from row on.
func ReadRows(d Device, t Tensor, row int, dst []float32) error {
	return eachRows(t, row, dst, func(at int, words []uint32, values []float32) error {
		if err := d.Read(t, at, words); err != nil {
			return err
		}
		decode(values, words, t.Spec)
		return nil
	})
}

// WriteRows writes whole rows without padding from row on. BF16 rounds to
// nearest, ties to even; padding is written as zeros.
func WriteRows(d Device, t Tensor, row int, src []float32) error {
	return eachRows(t, row, src, func(at int, words []uint32, values []float32) error {
		encode(words, values, t.Spec)
		return d.Write(t, at, words)
	})
}

// eachRows calls do for pieces of whole rows: where their words begin, room for
// the words, and the values.
func eachRows(t Tensor, row int, values []float32, do func(at int, words []uint32, values []float32) error) error {
	if t.None() {
		return noneError("copy", t)
	}
	if t.DType != F32 && t.DType != BF16 {
		return fmt.Errorf("tensor %s of %s has no float values", t.Name, t.DType)
	}
	cols := t.Cols()
	if len(values)%cols != 0 {
		return fmt.Errorf("tensor %s: %d values are not whole rows of %d", t.Name, len(values), cols)
	}
	rows := max(1, chunkBytes/4/t.rowWords())
	words := make([]uint32, min(rows, len(values)/cols)*t.rowWords())
	for ; len(values) > 0; row += rows {
		n := min(rows, len(values)/cols)
		if err := do(row*t.rowWords(), words[:n*t.rowWords()], values[:n*cols]); err != nil {
			return err
		}
		values = values[n*cols:]
	}
	return nil
}

// decode fills dense values from the words of whole rows.
func decode(values []float32, words []uint32, s Spec) {
	cols, stride := s.Cols(), s.rowWords()
	for row := 0; row*cols < len(values); row++ {
		out, in := values[row*cols:][:cols], words[row*stride:]
		if s.DType != BF16 {
			copy(out, Floats(in[:cols]))
			continue
		}
		for j := range out {
			out[j] = FromBF16(uint16(in[j/2] >> (j % 2 * 16)))
		}
	}
}

// encode is decode's inverse; it rounds to BF16 and clears the padding.
func encode(words []uint32, values []float32, s Spec) {
	cols, stride := s.Cols(), s.rowWords()
	for row := 0; row*cols < len(values); row++ {
		in, out := values[row*cols:][:cols], words[row*stride:][:stride]
		if s.DType != BF16 {
			clear(out[copy(out, Words(in)):])
			continue
		}
		clear(out)
		for j, f := range in {
			out[j/2] |= uint32(BF16Bits(f)) << (j % 2 * 16)
		}
	}
}

// BF16Bits is f rounded to bfloat16, the upper half of a float32: to nearest, ties to
// even; NaNs stay NaNs, made quiet.
func BF16Bits(f float32) uint16 {
	bits := math.Float32bits(f)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// FromBF16 is the float32 that a bfloat16 stands for, exactly.
func FromBF16(u uint16) float32 { return math.Float32frombits(uint32(u) << 16) }
