package wgsl

import (
	"fmt"
	"math"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/wgsltest"
)

func TestBF16Bits(t *testing.T) {
	for bits, want := range wgsltest.BF16Cases {
		if got := gpu.BF16Bits(math.Float32frombits(bits)); got != want {
			t.Errorf("%#x rounds to %#x, want %#x", bits, got, want)
		}
	}
	for i := range 1 << 16 { // every bfloat16 is its own nearest
		if x := gpu.FromBF16(uint16(i)); x == x && gpu.BF16Bits(x) != uint16(i) {
			t.Fatalf("%#x comes back as %#x", i, gpu.BF16Bits(x))
		}
	}
}

// packing makes a kernel that packs units of words a, as weights and activations or as
// gradients, and unpacks them again.
func packing(s kernel.Storage, suffix, alias string) *gpu.Kernel {
	name := "packing" + suffix
	return &gpu.Kernel{Name: name + s.Suffix(), Entry: name, Workgroup: [3]int{64, 1, 1}, Access: []gpu.Access{w, w, r}, Source: s.Prelude() + fmt.Sprintf(`
struct Params { origin: vec3<u32>, n: u32 }
@group(0) @binding(0) var<storage, read_write> packed: array<%[1]s>;
@group(0) @binding(1) var<storage, read_write> back: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> a: array<vec2<u32>>;
@group(0) @binding(3) var<uniform> params: Params;
@compute @workgroup_size(64, 1, 1)
fn %[2]s(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let p = pack%[3]s(bitcast<vec2<f32>>(a[i]));
	packed[i] = p;
	back[i] = bitcast<vec2<u32>>(unpack%[3]s(p));
}`, alias, name, suffix)}
}

// packingEights is packing in eights.
func packingEights(s kernel.Storage, suffix, alias string) *gpu.Kernel {
	name := "packing_eight" + suffix
	return &gpu.Kernel{Name: name + s.Suffix(), Entry: name, Workgroup: [3]int{64, 1, 1}, Access: []gpu.Access{w, w, r}, Source: s.Prelude() + fmt.Sprintf(`
struct Params { origin: vec3<u32>, n: u32 }
@group(0) @binding(0) var<storage, read_write> packed: array<%[1]s>;
@group(0) @binding(1) var<storage, read_write> back: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> a: array<vec4<u32>>;
@group(0) @binding(3) var<uniform> params: Params;
@compute @workgroup_size(64, 1, 1)
fn %[2]s(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
	let i = (group.x + params.origin.x) * 64u + local.x;
	if (i >= params.n) { return; }
	let p = pack_eight%[3]s(mat2x4<f32>(bitcast<vec4<f32>>(a[2u * i]), bitcast<vec4<f32>>(a[2u * i + 1u])));
	packed[i] = p;
	let v = unpack_eight%[3]s(p);
	back[2u * i] = bitcast<vec4<u32>>(v[0]);
	back[2u * i + 1u] = bitcast<vec4<u32>>(v[1]);
}`, alias, name, suffix)}
}

// Packing equals gpu.BF16Bits, which writes tensors, on the GPU too: whatever that
// does to denormals and NaNs in arithmetic.
func TestPackingOnGPU(t *testing.T) {
	list := wgsltest.Awkward()
	list = list[:len(list)/8*8]
	for _, s := range kernel.Storages {
		for _, c := range []struct {
			kernel *gpu.Kernel
			dtype  gpu.DType
			size   int // elements of a unit
		}{
			{packing(s, "", "Pair"), s.Pair, 2}, {packing(s, "_grad", "GradPair"), s.Grad, 2},
			{packingEights(s, "", "Eight"), s.Pair, 8}, {packingEights(s, "_grad", "GradEight"), s.Grad, 8},
		} {
			t.Run(c.kernel.Name, func(t *testing.T) {
				d := gputest.Adapter(t)
				ta := gputest.Indices(t, d, "a", list)
				packed, back := gputest.TensorOf(t, d, c.dtype, "packed", nil, len(list)), gputest.Indices(t, d, "back",
					make([]uint32, len(list)))
				n := len(list) / c.size
				wgsltest.Run(t, d, func(p *gpu.Pass) {
					p.Run(gpu.Call{Kernel: c.kernel, Groups: kernel.Groups1(n, 64), Params: []uint32{uint32(n)},
						Tensors: []gpu.Tensor{packed, back, ta}})
				})
				checkPacked(t, c.dtype, wgsltest.Words(t, d, packed), list)
				for i, bits := range wgsltest.Words(t, d, back) {
					if want := gpu.Words(wgsltest.Stored(c.dtype, gpu.Floats(list[i:][:1])))[0]; bits != want {
						t.Fatalf("%#x comes back as %#x, want %#x", list[i], bits, want)
					}
				}
			})
		}
	}
}

// checkPacked compares the words of a tensor of one row with the floats' bits
// that it should hold.
func checkPacked(t *testing.T, dtype gpu.DType, packed, bits []uint32) {
	t.Helper()
	for i, b := range bits {
		got, want := packed[i*len(packed)/gpu.Padded(len(bits))], b
		if dtype == gpu.BF16 {
			got, want = got>>(i%2*16)&0xffff, uint32(gpu.BF16Bits(math.Float32frombits(b)))
		}
		if got != want {
			t.Fatalf("element %d, %#x, is packed as %#x, want %#x", i, b, got, want)
		}
	}
}

// Mix with weights 1 and 0 rounds to storage and Widen gives it back, bit for bit.
func TestNarrowAndWidenBits(t *testing.T) {
	list := wgsltest.Awkward()
	list = list[:len(list)-1] // an odd row
	n := len(list)
	for _, s := range wgsltest.PairStorages {
		t.Run(s.Suffix()[1:], func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				b := make([]float32, n)
				for i := range b {
					b[i] = float32(math.NaN())
				}
				ta, tb := gputest.Tensor(t, d, "a", gpu.Floats(list), n), gputest.Tensor(t, d, "b", b, n)
				to, same, back := wgsltest.Dirty(t, d, s.Pair, "out", n), wgsltest.Dirty(t, d, s.Pair, "same",
					n), wgsltest.Dirty(t, d, gpu.F32, "back", n)
				wgsltest.Run(t, d, func(p *gpu.Pass) {
					Mix(p, to, ta, tb, 1, 0)
					Mix(p, same, ta, ta, 1, 0)
					Widen(p, back, to)
				})
				checkPacked(t, s.Pair, wgsltest.Words(t, d, to), list)
				checkPacked(t, s.Pair, wgsltest.Words(t, d, same), list)
				wgsltest.Unchanged(t, d, back, wgsltest.Stored(s.Pair, gpu.Floats(list)))
				wgsltest.ZeroPadding(t, d, to, same, back)
			})
		})
	}
}
