package gpu

import (
	"fmt"
	"math"
	"unsafe"
)

// DType is the type of a tensor's elements in memory.
type DType uint8

const (
	F32  DType = iota
	U32        // indices, raw words
	BF16       // two to a word, the lower half first
)

func (d DType) String() string { return [...]string{"f32", "u32", "bf16"}[d] }

// Class says what a tensor's memory is for; the ledger counts by it.
type Class uint8

const (
	Weights Class = iota
	Adapters
	Gradients
	Optimizer
	Activations
	Scratch
	classes
)

// Classes lists every class in the order reports use.
func Classes() []Class {
	return []Class{Weights, Adapters, Gradients, Optimizer, Activations, Scratch}
}

func (c Class) String() string {
	return [...]string{"weights", "adapters", "gradients", "optimizer", "activations", "scratch"}[c]
}

// Spec is a tensor that need not exist yet.
type Spec struct {
	Name  string
	Class Class
	DType DType
	Shape []int
}

// Elements is the product of the shape.
func (s Spec) Elements() int {
	n := 1
	for _, d := range s.Shape {
		n *= d
	}
	return n
}

// Words is the number of 32-bit words the elements take.
func (s Spec) Words() int {
	if s.DType == BF16 {
		return (s.Elements() + 1) / 2
	}
	return s.Elements()
}

// Bytes is exactly what a device allocates for the tensor.
func (s Spec) Bytes() int64 { return int64(s.Words()) * 4 }

func (s Spec) String() string {
	return fmt.Sprintf("%s %s%v %s", s.Name, s.DType, s.Shape, s.Class)
}

// Tensor is a Spec with memory. The zero Tensor means "none".
type Tensor struct {
	Spec
	id  uint64
	mem any // *wgpu.Buffer or []uint32, by device
}

// None reports whether the tensor has no memory.
func (t Tensor) None() bool { return t.id == 0 }

// Words views float32 values as the words that devices copy.
func Words(f []float32) []uint32 {
	if len(f) == 0 {
		return nil
	}
	return unsafe.Slice((*uint32)(unsafe.Pointer(&f[0])), len(f))
}

// Floats views words as float32 values.
func Floats(w []uint32) []float32 {
	if len(w) == 0 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&w[0])), len(w))
}

// ReadF32 reads all values of an F32 tensor.
func ReadF32(d Device, t Tensor) ([]float32, error) {
	f := make([]float32, t.Elements())
	return f, d.Read(t, 0, Words(f))
}

// WriteF32 writes all values of an F32 tensor.
func WriteF32(d Device, t Tensor, f []float32) error {
	if len(f) != t.Elements() {
		return fmt.Errorf("tensor %s: %d values written to %d elements", t.Name, len(f), t.Elements())
	}
	return d.Write(t, 0, Words(f))
}

// checkSpec refuses what no device can allocate.
func checkSpec(s Spec, l Limits) error {
	most := min(l.Buffer, l.Binding)
	elements := int64(1)
	for _, d := range s.Shape {
		if d < 1 {
			return fmt.Errorf("tensor %s: shape %v has a dimension below 1", s.Name, s.Shape)
		}
		if elements > most/int64(d) { // so that the product cannot overflow; no element is below half a word
			return fmt.Errorf("tensor %s: shape %v exceeds the device's largest buffer of %d bytes", s.Name, s.Shape, most)
		}
		elements *= int64(d)
	}
	if elements > math.MaxUint32 {
		return fmt.Errorf("tensor %s: %d elements, kernels can index %d", s.Name, elements, uint32(math.MaxUint32))
	}
	if s.Bytes() > l.Buffer {
		return fmt.Errorf("tensor %s: %d bytes exceed the device's largest buffer of %d bytes", s.Name, s.Bytes(), l.Buffer)
	}
	if s.Bytes() > l.Binding {
		return fmt.Errorf("tensor %s: %d bytes exceed the %d bytes that the device binds to a kernel", s.Name, s.Bytes(), l.Binding)
	}
	return nil
}

// checkCopy refuses a copy outside the tensor.
func checkCopy(verb string, s Spec, at, n int) error {
	if at < 0 || at > s.Words()-n {
		return fmt.Errorf("%s tensor %s: words %d to %d of %d", verb, s.Name, at, at+n, s.Words())
	}
	return nil
}

func noneError(verb string, t Tensor) error {
	return fmt.Errorf("%s: tensor %q has no memory", verb, t.Name)
}

func goneError(t Tensor, d Device) error {
	return fmt.Errorf("tensor %s is not on device %s (freed, or another device's)", t.Name, d.Name())
}
