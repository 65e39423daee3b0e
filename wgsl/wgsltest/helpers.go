package wgsltest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/internal/kernel"
)

// Tolerance is what one kernel may differ from its reference:
// |got - want| <= abs + rel |want|.
type Tolerance struct{ Abs, Rel float64 }

// In is the tolerance of a result that is stored as dtype: rounding to bf16 moves
// it by 2^-9 of its value, and twice that where the difference crosses a tie.
func (t Tolerance) In(dtype gpu.DType) Tolerance {
	if dtype == gpu.BF16 {
		t.Rel += 1.0 / 256
	}
	return t
}

// Equal is the tolerance of results that have no rounding but their storage's.
var Equal = Tolerance{1e-30, 0}

// PairStorages are the storage types of kernels that know no gradients of another.
var PairStorages = kernel.Storages[:2]

// Stored is x as a tensor of dtype holds it.
func Stored(dtype gpu.DType, x []float32) []float32 {
	x = slices.Clone(x)
	if dtype == gpu.BF16 {
		for i, v := range x {
			x[i] = gpu.FromBF16(gpu.BF16Bits(v))
		}
	}
	return x
}

// Dirty makes a tensor whose every word is a NaN, padding included: what a kernel
// must overwrite and not read.
func Dirty(t testing.TB, d gpu.Device, dtype gpu.DType, name string, shape ...int) gpu.Tensor {
	t.Helper()
	x := gputest.TensorOf(t, d, dtype, name, nil, shape...)
	words := make([]uint32, x.Words())
	for i := range words {
		words[i] = 0x7fc17fc1
	}
	if err := d.Write(x, 0, words); err != nil {
		t.Fatal(err)
	}
	return x
}

// Words reads a tensor's words, padding included.
func Words(t testing.TB, d gpu.Device, x gpu.Tensor) []uint32 {
	t.Helper()
	list := make([]uint32, x.Words())
	if err := d.Read(x, 0, list); err != nil {
		t.Fatal(err)
	}
	return list
}

// ZeroPadding fails when padding of F32 or BF16 tensors is not zero.
func ZeroPadding(t *testing.T, d gpu.Device, tensors ...gpu.Tensor) {
	t.Helper()
	for _, x := range tensors {
		list, stride := Words(t, d, x), x.Stride()
		for i := range x.Rows() * stride {
			word := list[i*len(list)/(x.Rows()*stride)]
			if x.DType == gpu.BF16 {
				word = word >> (i % 2 * 16) & 0xffff
			}
			if i%stride >= x.Cols() && word != 0 {
				t.Fatalf("%s (%d, %d): the padding of row %d holds %#x", x.Name, x.Rows(), x.Cols(), i/stride, word)
			}
		}
	}
}

// SameWords fails when the words of two tensors differ.
func SameWords(t *testing.T, d gpu.Device, got, want gpu.Tensor) {
	t.Helper()
	a, b := Words(t, d, got), Words(t, d, want)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("%s: word %d of %d is %#x, of %s %#x", got.Name, i, len(a), a[i], want.Name, b[i])
		}
	}
}

// Compare fails with the worst element and how much of its allowance it used.
func Compare(t *testing.T, name string, got, want []float32, tol Tolerance) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	worst, at := 0.0, 0
	for i := range got {
		g, w := float64(got[i]), float64(want[i])
		used := math.Abs(g-w) / (tol.Abs + tol.Rel*math.Abs(w))
		if g != g || (w != w) { // a NaN is never a match here
			used = math.Inf(1)
		}
		if used > worst {
			worst, at = used, i
		}
	}
	if worst > 1 {
		t.Errorf("%s: element %d of %d is %g, want %g: %.0f%% of the allowance", name, at, len(got), got[at], want[at],
			100*worst)
	}
}

// Random values, normal with the given deviation, the same for the same seed.
func Random(seed uint64, n int, std float64) []float32 {
	g := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(g.NormFloat64() * std)
	}
	return x
}

// Run records calls in one pass and fails on its error.
func Run(t *testing.T, d gpu.Device, record func(p *gpu.Pass)) {
	t.Helper()
	p := d.Begin(t.Name())
	record(p)
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
}

// Unchanged fails when a kernel wrote to an input.
func Unchanged(t *testing.T, d gpu.Device, x gpu.Tensor, want []float32) {
	t.Helper()
	for i, v := range gputest.Read(t, d, x) {
		if math.Float32bits(v) != math.Float32bits(want[i]) {
			t.Fatalf("input %s was changed at %d", x.Name, i)
		}
	}
}

// NewI8 makes a tensor of int8 whose every word must be overwritten.
func NewI8(t testing.TB, d gpu.Device, name string, shape ...int) gpu.Tensor {
	t.Helper()
	x, err := d.New(gpu.Spec{Name: name, Class: gpu.Scratch, DType: gpu.I8, Shape: shape})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Free(x) })
	list := make([]uint32, x.Words())
	for i := range list {
		list[i] = 0x7fc17fc1
	}
	if err := d.Write(x, 0, list); err != nil {
		t.Fatal(err)
	}
	return x
}
