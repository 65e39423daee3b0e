package reduce

import (
	"fmt"

	"steplm/gpu"
)

// Wire is the type that gradients have on the way from one process to another. Sums are in f32 either way.
type Wire string

// The types there are.
const (
	WireF32  Wire = "f32"
	WireBF16 Wire = "bf16" // half the bytes; what is sent is rounded to nearest, ties to even, and the sum once more
)

// Wires lists them, the default first.
func Wires() []string { return []string{string(WireF32), string(WireBF16)} }

// Check refuses a type that there is not.
func (w Wire) Check() error {
	if w == WireF32 || w == WireBF16 {
		return nil
	}
	return fmt.Errorf("there is no type %q on the wire: choose one of %v", w, Wires())
}

// Bytes are those of one number.
func (w Wire) Bytes() int {
	if w == WireBF16 {
		return 2
	}
	return 4
}

// encode writes values to the wire.
func (w Wire) encode(dst []byte, values []float32) {
	if w != WireBF16 {
		copy(valuesOf[float32](dst), values)
		return
	}
	for i, out := 0, valuesOf[uint16](dst); i < len(values); i++ {
		out[i] = gpu.BF16Bits(values[i])
	}
}

// decode reads them.
func (w Wire) decode(values []float32, src []byte) {
	if w != WireBF16 {
		copy(values, valuesOf[float32](src))
		return
	}
	for i, x := range valuesOf[uint16](src)[:len(values)] {
		values[i] = gpu.FromBF16(x)
	}
}

// add adds what came over the wire.
func (w Wire) add(sum []float32, src []byte) {
	if w != WireBF16 {
		for i, x := range valuesOf[float32](src)[:len(sum)] {
			sum[i] += x
		}
		return
	}
	for i, x := range valuesOf[uint16](src)[:len(sum)] {
		sum[i] += gpu.FromBF16(x)
	}
}
