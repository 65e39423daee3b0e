package kernel

import "steplm/gpu"

// Plane is an array with so many bits for each element of a weight's storage, kept for whole groups of elements.
type Plane struct {
	gpu.Tensor
	Bits, Group int
}

// PlaneOf is a plane of a tensor of words.
func PlaneOf(t gpu.Tensor, bits, group int) Plane { return Plane{t, bits, group} }

// Floats is a plane of the weight's own shape.
func Floats(t gpu.Tensor) Plane {
	if t.DType == gpu.BF16 {
		return Plane{t, 16, gpu.RowPadding}
	}
	return Plane{t, 32, gpu.RowPadding}
}

// ElementWords is the words that n elements take.
func (x Plane) ElementWords(n int) int { return gpu.Groups(n, x.Group) * x.Group * x.Bits / 32 }

// Part views n elements of the storage from at on; shape is that of so many floats.
func (x *Plane) Part(at, n int, shape []int) gpu.Tensor {
	s := x.Spec
	s.Shape = shape
	if s.DType == gpu.U32 {
		s.Shape = []int{x.ElementWords(n)}
	}
	return x.As(s, at*x.Bits/32)
}
