package wgsltest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
)

// Declared fails for a kernel whose source and declaration differ, and for two of one name.
func Declared(t *testing.T, kernels []*gpu.Kernel) {
	t.Helper()
	seen := map[string]bool{}
	for _, k := range kernels {
		if seen[k.Name] {
			t.Errorf("kernel %s is declared twice", k.Name)
		}
		seen[k.Name] = true
		if len(k.Access) > gpu.MaxStorage {
			t.Errorf("kernel %s binds %d storage buffers, at most %d are everywhere", k.Name, len(k.Access),
				gpu.MaxStorage)
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
		if want := fmt.Sprintf("@binding(%d) var<uniform> params: Params", len(k.Access)); !strings.Contains(k.Source,
			want) {
			t.Errorf("kernel %s: no %q in its source", k.Name, want)
		}
		entry := k.Entry
		if entry == "" {
			entry = k.Name
		}
		if want := fmt.Sprintf("@workgroup_size(%d, %d, %d)\nfn %s(", k.Workgroup[0], k.Workgroup[1], k.Workgroup[2],
			entry); !strings.Contains(k.Source, want) {
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
var metalWords = strings.Fields("assert half bfloat short uchar ushort ulong size_t ptrdiff_t int8_t uint8_t " +
	"int16_t uint16_t int32_t uint32_t int64_t uint64_t " +
	"thread object_data metal vec packed_vec matrix atomic atomic_int atomic_uint atomic_bool atomic_float " +
	"char16_t char32_t noexcept static_assert thread_local")

// NoWordOfMetal fails for a kernel that uses one of them.
func NoWordOfMetal(t *testing.T, kernels []*gpu.Kernel) {
	t.Helper()
	comment, word := regexp.MustCompile(`//.*`), regexp.MustCompile(`[A-Za-z_]\w*`)
	for _, k := range kernels {
		for _, w := range word.FindAllString(comment.ReplaceAllString(k.Source, ""), -1) {
			if slices.Contains(metalWords, w) {
				t.Errorf("kernel %s: %q is a word of Metal's", k.Name, w)
			}
		}
	}
}

// Shaders compiles kernels through the binding, whose compiler
// is older and refuses more than any command-line tool. A kernel that is
// recorded with params of zeros covers no elements and must do no harm.
func Shaders(t *testing.T, kernels []*gpu.Kernel) {
	t.Helper()
	d := gputest.Adapter(t)
	made := map[gpu.DType][]gpu.Tensor{} // one for each binding that may need one
	for _, dtype := range []gpu.DType{gpu.F32, gpu.U32, gpu.BF16, gpu.I8} {
		for range gpu.MaxStorage {
			x, err := d.New(gpu.Spec{Name: dtype.String(), Class: gpu.Scratch, DType: dtype, Shape: []int{1024}})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Free(x)
			made[dtype] = append(made[dtype], x)
		}
	}
	for _, k := range gputest.Sample(kernels) {
		var tensors []gpu.Tensor
		for i := range k.Access {
			dtype := gpu.F32
			if k.DTypes != nil {
				dtype = k.DTypes[i]
			}
			tensors = append(tensors, made[dtype][i])
		}
		t.Run(k.Name, func(t *testing.T) {
			Run(t, d, func(p *gpu.Pass) {
				p.Run(gpu.Call{Kernel: k, Groups: [3]int{1, 1, 1}, Params: make([]uint32, 16), Tensors: tensors})
			})
		})
	}
}

// Golden fails unless the kernel's source is what file testdata/NAME.wgsl holds, which update
// writes, and unless the binding compiles what the file holds.
func Golden(t *testing.T, k *gpu.Kernel, update bool) {
	t.Helper()
	path := filepath.Join("testdata", k.Name+".wgsl")
	if update {
		if err := os.WriteFile(path, []byte(k.Source), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.ReplaceAll(string(text), "\r\n", "\n"); got != k.Source {
		t.Errorf("%s is not what the template gives: if that was meant, run the test with -update and review the "+
			"difference", path)
	}
	written := *k
	written.Source = string(text)
	Shaders(t, []*gpu.Kernel{&written})
}
