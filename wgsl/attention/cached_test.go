package attention

import (
	"fmt"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
	"steplm/wgsl/wgsltest"
)

// cachedKernelsOf lists those of a row of one vec4, of one with a remainder and of a common head.
func cachedKernelsOf() (list []*gpu.Kernel) {
	list = library.Kernels()
	for _, s := range wgsltest.PairStorages {
		for _, d := range []int{4, 6, 64} {
			for _, v := range cachedVariants(head{d, s.Pair}) {
				list = append(list, v.kernel())
			}
		}
	}
	return list
}

// cachedVariants lists those of a head.
func cachedVariants(x head) (list []cachedVariant) {
	for _, b := range []cachedBlock{{64, false}, {64, true}, {8, false}, {8, true}} {
		list = append(list, cachedVariant{b, x, walk})
	}
	for _, size := range []int{64, 128, 256} {
		list = append(list, cachedVariant{cachedBlock{size, false}, x, spread})
	}
	return list
}

func TestCachedDeclared(t *testing.T) { wgsltest.Declared(t, cachedKernelsOf()) }

func TestCachedNoWordOfMetal(t *testing.T) { wgsltest.NoWordOfMetal(t, cachedKernelsOf()) }

func TestCachedShaders(t *testing.T) { wgsltest.Shaders(t, cachedKernelsOf()) }

// cachedRows are rows of sequences of any lengths that lie in a cache one behind the other, and what the reference
// makes of them.
type cachedRows struct {
	CachedShape
	q, k, v, out []float32
	places       []uint32
}

func newCachedRows(dtype gpu.DType, s CachedShape) cachedRows {
	x := cachedRows{CachedShape: s, out: make([]float32, s.Rows*s.H*s.D), places: make([]uint32, 2*s.Rows)}
	x.q = wgsltest.Stored(dtype, wgsltest.Random(1, s.Rows*s.H*s.D, 1.5))
	x.k = wgsltest.Stored(dtype, wgsltest.Random(2, s.Positions*s.KV*s.D, 1))
	x.v = wgsltest.Stored(dtype, wgsltest.Random(3, s.Positions*s.KV*s.D, 1))
	for row := range s.Rows {
		at := s.Positions * (row + 1) / s.Rows
		x.places[s.Rows+row] = uint32(at - 1)
		x.places[row] = uint32(max(0, at-1-[]int{0, 64, at - 1, 130, 63}[row%5]))
	}
	ref.CachedAttention(x.out, x.q, x.k, x.v, x.places, s)
	return x
}

// tensors are out, then the inputs.
func (x cachedRows) tensors(t testing.TB, d gpu.Device, dtype gpu.DType) []gpu.Tensor {
	s := x.CachedShape
	places, err := d.New(gpu.Spec{Name: "places", Class: gpu.Scratch, DType: gpu.U32, Shape: []int{2, s.Rows}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Free(places) })
	if err := d.Write(places, 0, x.places); err != nil {
		t.Fatal(err)
	}
	return []gpu.Tensor{wgsltest.Dirty(t, d, dtype, "out", s.Rows, s.H*s.D),
		gputest.TensorOf(t, d, dtype, "q", x.q, s.Rows, s.H*s.D),
		gputest.TensorOf(t, d, dtype, "k", x.k, s.Positions, s.KV*s.D),
		gputest.TensorOf(t, d, dtype, "v", x.v, s.Positions, s.KV*s.D), places}
}

var cachedShapesTested = []CachedShape{
	{Rows: 1, H: 1, KV: 1, D: 2, Positions: 1},
	{Rows: 2, H: 3, KV: 1, D: 6, Positions: 65},
	{Rows: 5, H: 4, KV: 2, D: 8, Positions: 200},
	{Rows: 3, H: 4, KV: 2, D: 12, Positions: 131, Window: 64},
	{Rows: 9, H: 5, KV: 5, D: 66, Positions: 150, Window: 7},
	{Rows: 7, H: 8, KV: 2, D: 64, Positions: 300},
}

func TestCached(t *testing.T) {
	for _, s := range cachedShapesTested {
		for _, c := range wgsltest.PairStorages {
			x := newCachedRows(c.Pair, s)
			for way, name := range cachedWays {
				t.Run(strings.Trim(fmt.Sprintf("%s %+v", name, s), "{}")+c.Suffix(), func(t *testing.T) {
					gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
						in := x.tensors(t, d, c.Pair)
						wgsltest.Run(t, d, func(p *gpu.Pass) {
							runCached(p, cachedWay(way), in[0], in[1], in[2], in[3], in[4], s)
						})
						wgsltest.Compare(t, "out", gputest.Read(t, d, in[0]), x.out,
							wgsltest.Tolerance{Abs: 1e-5, Rel: 1e-5}.In(c.Pair))
						wgsltest.ZeroPadding(t, d, in[0])
						for i, want := range [][]float32{x.q, x.k, x.v} {
							wgsltest.Unchanged(t, d, in[i+1], want)
						}
					})
				})
			}
		}
	}
}

// Every block gives a row the same bits, among others and alone.
func TestCachedBlocksAgree(t *testing.T) {
	d := gputest.Adapter(t)
	for _, s := range cachedShapesTested[1:] {
		for _, c := range wgsltest.PairStorages {
			x := newCachedRows(c.Pair, s)
			in := x.tensors(t, d, c.Pair)
			want := map[cachedWay]gpu.Tensor{}
			for _, v := range cachedVariants(head{s.D, c.Pair}) {
				out := wgsltest.Dirty(t, d, c.Pair, v.name(), s.Rows, s.H*s.D)
				class := cachedClassOf(v.way, c.Pair, s)
				tensors := append([]gpu.Tensor{out}, in[1:]...)
				wgsltest.Run(t, d, func(p *gpu.Pass) { class.run(p, v.cachedBlock, cachedCall{s, 1}, tensors) })
				if first, ok := want[v.way]; ok {
					wgsltest.SameWords(t, d, out, first)
				} else {
					want[v.way] = out
				}
			}
			testRowAlone(t, d, c.Pair, x, in, want)
		}
	}
}

// testRowAlone computes the last row alone.
func testRowAlone(t *testing.T, d gpu.Device, dtype gpu.DType, x cachedRows, in []gpu.Tensor,
	want map[cachedWay]gpu.Tensor) {
	t.Helper()
	s := x.CachedShape
	last := s.Rows - 1
	one := s
	one.Rows = 1
	alone := cachedRows{CachedShape: one, q: x.q[last*s.H*s.D:], k: x.k, v: x.v,
		places: []uint32{x.places[last], x.places[s.Rows+last]}}.tensors(t, d, dtype)
	for way, whole := range want {
		wgsltest.Run(t, d, func(p *gpu.Pass) {
			runCached(p, way, alone[0], alone[1], in[2], in[3], alone[4], one)
		})
		wgsltest.SameWords(t, d, alone[0], whole.Part(last, 1))
	}
}

// A prompt walked in a cache has Forward's bits.
func TestCachedIsForward(t *testing.T) {
	s := Shape{B: 2, T: 67, H: 4, KV: 2, D: 8}
	for _, c := range wgsltest.PairStorages {
		x := newInputs(c.Pair, s, 1.5, 1)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			in := x.tensors(t, d)
			out, lse := wgsltest.Dirty(t, d, c.Pair, "out", s.B*s.T, s.H*s.D),
				wgsltest.Dirty(t, d, gpu.F32, "lse", s.B, s.H, s.T)
			rows := CachedShape{Rows: s.B * s.T, H: s.H, KV: s.KV, D: s.D, Positions: s.B * s.T}
			cached := wgsltest.Dirty(t, d, c.Pair, "cached", rows.Rows, s.H*s.D)
			places, err := d.New(gpu.Spec{Name: "places", Class: gpu.Scratch, DType: gpu.U32,
				Shape: []int{2, rows.Rows}})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Free(places)
			var at []uint32
			for i := range 2 * rows.Rows {
				at = append(at, uint32(i%rows.Rows))
				if i < rows.Rows {
					at[i] = uint32(i / s.T * s.T)
				}
			}
			if err := d.Write(places, 0, at); err != nil {
				t.Fatal(err)
			}
			keys, values := wgsltest.Dirty(t, d, c.Pair, "keys", rows.Rows, s.KV*s.D),
				wgsltest.Dirty(t, d, c.Pair, "values", rows.Rows, s.KV*s.D)
			wgsltest.Run(t, d, func(p *gpu.Pass) {
				Forward(p, out, lse, in["q"], in["k"], in["v"], gpu.Tensor{}, s)
				CacheStore(p, keys, values, in["k"], in["v"], places, rows)
				Cached(p, cached, in["q"], keys, values, places, rows)
			})
			wgsltest.SameWords(t, d, keys, in["k"])
			wgsltest.SameWords(t, d, values, in["v"])
			wgsltest.SameWords(t, d, cached, out)
		})
	}
}

// A class is found by its word; blocks fit the device.
func TestCachedClass(t *testing.T) {
	l := gpu.Limits{Shared: true, Invocations: 256, WorkgroupMemory: 16384, Budget: 1e12}
	for way := range cachedWays {
		c := cachedClassOf(cachedWay(way), gpu.BF16, CachedShape{Rows: 5, H: 8, KV: 2, D: 64})
		if got, ok := ParseCachedClass(c.String()); !ok || got != c || c.Rows != 8 {
			t.Errorf("%s is read as %v, %t", c, got, ok)
		}
		for _, word := range c.Variants(l) {
			if k := c.Kernel(word); k.Shared > l.WorkgroupMemory || k.Invocations() > l.Invocations {
				t.Errorf("%s does not fit", k.Name)
			}
		}
	}
}
