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
	I8         // four to a word, the lowest byte first
)

func (d DType) String() string { return [...]string{"f32", "u32", "bf16", "i8"}[d] }

// Class says what a tensor's memory is for; the ledger counts by it.
type Class uint8

const (
	Weights Class = iota
	LoRA
	Gradients
	Optimizer
	Activations
	Scratch
	Cache // keys and values of what a model that generates has read; training has none
	Outer // what an outer optimizer keeps, in the process's memory whatever the device
	classes
)

// Classes lists the classes of training in the order reports use.
func Classes() []Class {
	return []Class{Weights, LoRA, Gradients, Optimizer, Activations, Scratch}
}

func (c Class) String() string {
	return [...]string{"weights", "adapters", "gradients", "optimizer", "activations", "scratch",
		"cache", "outer"}[c]
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

// RowPadding is what the rows of numbers are padded to, in elements, so that
// kernels load and store whole words and vectors of every type. Padding is zero
// and must stay so. Indices (U32) have none.
const RowPadding = 8

// Cols is the last dimension.
func (s Spec) Cols() int { return s.Shape[len(s.Shape)-1] }

// Rows is the product of the other dimensions.
func (s Spec) Rows() int {
	n := 1
	for _, d := range s.Shape[:len(s.Shape)-1] {
		n *= d
	}
	return n
}

// Stride is the elements from one row to the next, padding included.
func (s Spec) Stride() int {
	if s.DType == U32 {
		return s.Cols()
	}
	return Padded(s.Cols())
}

// Padded is cols rounded up to RowPadding.
func Padded(cols int) int { return Groups(cols, RowPadding) * RowPadding }

// rowWords is the words of one row, padding included.
func (s Spec) rowWords() int {
	switch s.DType {
	case BF16:
		return s.Stride() / 2
	case I8:
		return s.Stride() / 4
	}
	return s.Stride()
}

// Words is the number of 32-bit words the tensor takes, padding included.
func (s Spec) Words() int {
	if len(s.Shape) == 0 {
		return 0 // refused when it is used
	}
	return s.Rows() * s.rowWords()
}

// Bytes is exactly what a device allocates for the tensor.
func (s Spec) Bytes() int64 { return int64(s.Words()) * 4 }

func (s Spec) String() string {
	return fmt.Sprintf("%s %s%v %s", s.Name, s.DType, s.Shape, s.Class)
}

// Tensor is a Spec with memory. The zero Tensor means "none".
type Tensor struct {
	Spec
	id    uint64
	at    int // words from the start of the memory; above 0 in views alone
	words int // of the spec: every call that is recorded asks
	mem   any // *wgpu.Buffer or []uint32, by device
}

func tensorOf(s Spec, mem any) Tensor {
	return Tensor{Spec: s, id: nextID.Add(1), words: s.Words(), mem: mem}
}

// Words is the number of 32-bit words of the spec.
func (t Tensor) Words() int { return t.words }

// Bytes is those of the spec.
func (t Tensor) Bytes() int64 { return int64(t.words) * 4 }

// As views the tensor's memory from word at on as another tensor. A view has no
// memory of its own: freeing it frees the whole.
func (t Tensor) As(s Spec, at int) Tensor {
	return Tensor{Spec: s, id: t.id, at: t.at + at, words: s.Words(), mem: t.mem}
}

// Part views n rows from row on.
func (t Tensor) Part(row, n int) Tensor {
	s := t.Spec
	s.Shape = []int{n, t.Cols()}
	return t.As(s, row*t.rowWords())
}

// viewAlign is the bytes at whose multiples a view that is bound must begin:
// WebGPU's default for storage buffers.
const viewAlign = 256

// PartRows is the most rows, at most limit bytes of them, of which a tensor's
// parts may consist so that each begins where it can be bound; 0: none fit.
func (s Spec) PartRows(limit int64) int {
	row := s.rowWords() * 4
	step := viewAlign / gcd(viewAlign, row)
	return int(limit/int64(row*step)) * step
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
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

// checkShape refuses what has no elements; to bind it would abort.
func checkShape(s Spec) error {
	if len(s.Shape) == 0 {
		return fmt.Errorf("tensor %s has no shape", s.Name)
	}
	for _, d := range s.Shape {
		if d < 1 {
			return fmt.Errorf("tensor %s: shape %v has a dimension below 1", s.Name, s.Shape)
		}
	}
	return nil
}

// checkSpec refuses what no device can allocate.
func checkSpec(s Spec, l Limits) error {
	if err := checkShape(s); err != nil {
		return err
	}
	most := 4 * l.Buffer // elements, four to a word at most
	elements := int64(1)
	for _, d := range s.Shape {
		if elements > most/int64(d) { // so that the product cannot overflow
			return fmt.Errorf("tensor %s: shape %v exceeds the device's largest buffer of %d bytes", s.Name, s.Shape,
				l.Buffer)
		}
		elements *= int64(d)
	}
	if elements > math.MaxUint32 {
		return fmt.Errorf("tensor %s: %d elements, kernels can index %d", s.Name, elements, uint32(math.MaxUint32))
	}
	if s.Bytes() > l.Buffer {
		return fmt.Errorf("tensor %s: %d bytes exceed the device's largest buffer of %d bytes", s.Name, s.Bytes(),
			l.Buffer)
	}
	return nil
}

// checkCopy refuses a copy outside the tensor.
func checkCopy(verb string, s Spec, at, n int) error {
	if err := checkShape(s); err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
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
