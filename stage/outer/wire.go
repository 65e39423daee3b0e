package outer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"steplm/gpu"
)

// How a change travels. In int8 and int4 blocks of blockElements consecutive elements share a scale in bf16, by which
// the largest is 127 or 7.
const (
	WireF32  = "f32"
	WireBF16 = "bf16"
	WireInt8 = "int8"
	WireInt4 = "int4"
)

// Wires lists the ways, those of the most bytes first.
func Wires() []string { return []string{WireF32, WireBF16, WireInt8, WireInt4} }

// blockElements share a scale.
const blockElements = 64

// ErrNotFinite is a change that is no number somewhere.
var ErrNotFinite = errors.New("a change is not finite")

// wire turns values into bytes and back. decode refuses what is no finite number.
type wire struct {
	bytes  func(elements int) int
	encode func(to []byte, values []float32)
	decode func(values []float32, from []byte) error
}

// wireOf is the wire of a valid name.
func wireOf(name string) wire {
	switch name {
	case WireBF16:
		return wire{func(n int) int { return 2 * n }, encodeBF16, decodeBF16}
	case WireInt8:
		return scaled(8)
	case WireInt4:
		return scaled(4)
	}
	return wire{func(n int) int { return 4 * n }, encodeF32, decodeF32}
}

func finite(f float32) bool { return math.Float32bits(f)&0x7f800000 != 0x7f800000 }

func allFinite(values []float32) error {
	for _, f := range values {
		if !finite(f) {
			return ErrNotFinite
		}
	}
	return nil
}

func encodeF32(to []byte, values []float32) {
	for i, f := range values {
		binary.LittleEndian.PutUint32(to[4*i:], math.Float32bits(f))
	}
}

func decodeF32(values []float32, from []byte) error {
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(from[4*i:]))
	}
	return allFinite(values)
}

func encodeBF16(to []byte, values []float32) {
	for i, f := range values {
		bits := gpu.BF16Bits(f)
		if !finite(gpu.FromBF16(bits)) { // rounded up to infinity: the largest there is
			bits = uint16(math.Float32bits(f)>>16)&0x8000 | 0x7f7f
		}
		binary.LittleEndian.PutUint16(to[2*i:], bits)
	}
}

func decodeBF16(values []float32, from []byte) error {
	for i := range values {
		values[i] = gpu.FromBF16(binary.LittleEndian.Uint16(from[2*i:]))
	}
	return allFinite(values)
}

// scaled is whole numbers of 8 or 4 bits times a scale.
func scaled(bits int) wire {
	most := float32(int(1)<<(bits-1) - 1)
	codes := func(n int) int { return (n*bits + 7) / 8 }
	eachBlock := func(n int, do func(from, to, at int)) (bytes int) {
		for from := 0; from < n; from += blockElements {
			to := min(from+blockElements, n)
			if do != nil {
				do(from, to, bytes)
			}
			bytes += 2 + codes(to-from)
		}
		return bytes
	}
	return wire{
		bytes: func(n int) int { return eachBlock(n, nil) },
		encode: func(out []byte, values []float32) {
			eachBlock(len(values), func(from, to, at int) {
				block, put := values[from:to], out[at:]
				largest := float32(0)
				for _, f := range block {
					largest = max(largest, float32(math.Abs(float64(f))))
				}
				scale := bf16Above(largest / most)
				binary.LittleEndian.PutUint16(put, scale)
				by := gpu.FromBF16(scale)
				put = put[2 : 2+codes(len(block))]
				clear(put)
				for i, f := range block {
					code := int8(0)
					if by != 0 {
						code = int8(min(max(float32(math.RoundToEven(float64(f/by))), -most), most))
					}
					if bits == 8 {
						put[i] = byte(code)
					} else {
						put[i/2] |= byte(code) & 15 << (i % 2 * 4)
					}
				}
			})
		},
		decode: func(values []float32, in []byte) (err error) {
			eachBlock(len(values), func(from, to, at int) {
				scale := gpu.FromBF16(binary.LittleEndian.Uint16(in[at:]))
				if !finite(scale) || math.Signbit(float64(scale)) {
					err = fmt.Errorf("a scale of %g: %w", scale, ErrNotFinite)
					return
				}
				get := in[at+2:]
				for i := range values[from:to] {
					code := int8(0)
					if bits == 8 {
						code = int8(get[i])
					} else {
						code = int8(get[i/2]>>(i%2*4)<<4) >> 4
					}
					values[from+i] = float32(code) * scale
				}
			})
			if err != nil {
				return err
			}
			return allFinite(values)
		},
	}
}

// bf16Above is the least bfloat16 that is not below x, a finite number of at least 0; the largest there is, if none is.
func bf16Above(x float32) uint16 {
	return uint16(min((uint64(math.Float32bits(x))+0xffff)>>16, 0x7f7f))
}

// feedback rounds values for the wire with what earlier roundings left out, the residual, added first; it leaves in the
// residual what this one leaves out, and in values what the others will read.
func (w wire) feedback(to []byte, values, residual []float32) error {
	for i := range values {
		values[i] += residual[i]
	}
	if err := allFinite(values); err != nil {
		return err
	}
	w.encode(to, values)
	meant := make([]float32, len(values))
	copy(meant, values)
	if err := w.decode(values, to); err != nil {
		return err
	}
	for i := range values {
		residual[i] = meant[i] - values[i]
	}
	return nil
}
