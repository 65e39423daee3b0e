package wgsl

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
)

// tolerance is what one kernel may differ from its reference:
// |got - want| <= abs + rel |want|.
type tolerance struct{ abs, rel float64 }

// in is the tolerance of a result that is stored as dtype: rounding to bf16 moves
// it by 2^-9 of its value, and twice that where the difference crosses a tie.
func (t tolerance) in(dtype gpu.DType) tolerance {
	if dtype == gpu.BF16 {
		t.rel += 1.0 / 256
	}
	return t
}

// equal is the tolerance of results that have no rounding but their storage's.
var equal = tolerance{1e-30, 0}

// pairStorages are the storage types of kernels that know no gradients of another.
var pairStorages = storages[:2]

// stored is x as a tensor of dtype holds it.
func stored(dtype gpu.DType, x []float32) []float32 {
	x = slices.Clone(x)
	if dtype == gpu.BF16 {
		for i, v := range x {
			x[i] = gpu.FromBF16(gpu.BF16Bits(v))
		}
	}
	return x
}

// dirty makes a tensor whose every word is a NaN, padding included: what a kernel
// must overwrite and not read.
func dirty(t testing.TB, d gpu.Device, dtype gpu.DType, name string, shape ...int) gpu.Tensor {
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

// words reads a tensor's words, padding included.
func words(t testing.TB, d gpu.Device, x gpu.Tensor) []uint32 {
	t.Helper()
	list := make([]uint32, x.Words())
	if err := d.Read(x, 0, list); err != nil {
		t.Fatal(err)
	}
	return list
}

// zeroPadding fails when padding of F32 or BF16 tensors is not zero.
func zeroPadding(t *testing.T, d gpu.Device, tensors ...gpu.Tensor) {
	t.Helper()
	for _, x := range tensors {
		list, stride := words(t, d, x), x.Stride()
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

// sameWords fails when the words of two tensors differ.
func sameWords(t *testing.T, d gpu.Device, got, want gpu.Tensor) {
	t.Helper()
	a, b := words(t, d, got), words(t, d, want)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("%s: word %d of %d is %#x, of %s %#x", got.Name, i, len(a), a[i], want.Name, b[i])
		}
	}
}

// compare fails with the worst element and how much of its allowance it used.
func compare(t *testing.T, name string, got, want []float32, tol tolerance) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	worst, at := 0.0, 0
	for i := range got {
		g, w := float64(got[i]), float64(want[i])
		used := math.Abs(g-w) / (tol.abs + tol.rel*math.Abs(w))
		if g != g || (w != w) { // a NaN is never a match here
			used = math.Inf(1)
		}
		if used > worst {
			worst, at = used, i
		}
	}
	if worst > 1 {
		t.Errorf("%s: element %d of %d is %g, want %g: %.0f%% of the allowance", name, at, len(got), got[at], want[at], 100*worst)
	}
}

// random values, normal with the given deviation, the same for the same seed.
func random(seed uint64, n int, std float64) []float32 {
	g := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(g.NormFloat64() * std)
	}
	return x
}

// run records calls in one pass and fails on its error.
func run(t *testing.T, d gpu.Device, record func(p *gpu.Pass)) {
	t.Helper()
	p := d.Begin(t.Name())
	record(p)
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
}

// unchanged fails when a kernel wrote to an input.
func unchanged(t *testing.T, d gpu.Device, x gpu.Tensor, want []float32) {
	t.Helper()
	for i, v := range gputest.Read(t, d, x) {
		if math.Float32bits(v) != math.Float32bits(want[i]) {
			t.Fatalf("input %s was changed at %d", x.Name, i)
		}
	}
}

func TestStorageBuffersAndBindings(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range all {
		if seen[k.Name] {
			t.Errorf("kernel %s is declared twice", k.Name)
		}
		seen[k.Name] = true
		if len(k.Access) > gpu.MaxStorage {
			t.Errorf("kernel %s binds %d storage buffers, at most %d are everywhere", k.Name, len(k.Access), gpu.MaxStorage)
		}
		if k.DTypes != nil && len(k.DTypes) != len(k.Access) {
			t.Errorf("kernel %s: types of %d bindings of %d", k.Name, len(k.DTypes), len(k.Access))
		}
		for i, a := range k.Access {
			mode := "read"
			if a == gpu.Write {
				mode = "read_write"
			}
			if want := fmt.Sprintf("@binding(%d) var<storage, %s>", i, mode); !strings.Contains(k.Source, want) {
				t.Errorf("kernel %s: no %q in its source", k.Name, want)
			}
		}
		if got := strings.Count(k.Source, "var<storage"); got != len(k.Access) {
			t.Errorf("kernel %s: %d storage bindings in its source, %d declared", k.Name, got, len(k.Access))
		}
		if want := fmt.Sprintf("@binding(%d) var<uniform> params: Params", len(k.Access)); !strings.Contains(k.Source, want) {
			t.Errorf("kernel %s: no %q in its source", k.Name, want)
		}
		entry := k.Entry
		if entry == "" {
			entry = k.Name
		}
		if want := fmt.Sprintf("@workgroup_size(%d, %d, %d)\nfn %s(", k.Workgroup[0], k.Workgroup[1], k.Workgroup[2], entry); !strings.Contains(k.Source, want) {
			t.Errorf("kernel %s: no %q in its source", k.Name, want)
		}
		if !strings.Contains(k.Source, "struct Params { origin: vec3<u32>,") {
			t.Errorf("kernel %s: params do not begin with origin", k.Name)
		}
	}
}

// metalWords are what Metal reserves besides C++'s keywords. The runtime's
// compiler renames some words that a target reserves, yet not these (gfx-rs/wgpu
// issues 4545 and 5347), so that a kernel which uses one compiles on Vulkan and
// DX12 and not on a Mac.
var metalWords = strings.Fields("assert half bfloat short uchar ushort ulong size_t ptrdiff_t int8_t uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t " +
	"thread object_data metal vec packed_vec matrix atomic atomic_int atomic_uint atomic_bool atomic_float char16_t char32_t noexcept static_assert thread_local")

func TestNoWordOfMetal(t *testing.T) {
	comment, word := regexp.MustCompile(`//.*`), regexp.MustCompile(`[A-Za-z_]\w*`)
	for _, k := range slices.Concat(all, generated()) {
		for _, w := range word.FindAllString(comment.ReplaceAllString(k.Source, ""), -1) {
			if slices.Contains(metalWords, w) {
				t.Errorf("kernel %s: %q is a word of Metal's", k.Name, w)
			}
		}
	}
}

// generated are kernels of every kind that is made when first called.
func generated() []*gpu.Kernel {
	var list []*gpu.Kernel
	for _, dtype := range []gpu.DType{gpu.F32, gpu.BF16} {
		for _, size := range []int{6, 20, 64} {
			for _, v := range everyAttention(head{size, dtype}) {
				list = append(list, v.kernel())
			}
		}
		for _, transpose := range []string{"nn", "nt", "tn"} {
			for _, v := range everyMatmul(transpose, matmulTypes{dtype, dtype, dtype}) {
				list = append(list, v.kernel())
			}
		}
	}
	return list
}
