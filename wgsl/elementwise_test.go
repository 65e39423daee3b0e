package wgsl

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
	"steplm/wgsl/wgsltest"
)

func TestElementwise(t *testing.T) {
	for _, size := range wgsltest.Shapes {
		rows, c := size[0], size[1]
		for _, s := range wgsltest.PairStorages {
			n := rows * c
			a, b, x := wgsltest.Random(1, n, 1), wgsltest.Random(2, n, 1), wgsltest.Stored(s.Pair,
				wgsltest.Random(3, n, 1))
			mixed, scaled := make([]float32, n), make([]float32, n)
			ref.Mix(mixed, a, b, 0.25, 0.75)
			ref.Mix(scaled, a, b, 3, 0)
			t.Run(fmt.Sprint(size, s.Suffix()), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					ta, tb, tx := gputest.Tensor(t, d, "a", a, rows, c), gputest.Tensor(t, d, "b", b, rows,
						c), gputest.TensorOf(t, d, s.Pair, "x", x, rows, c)
					tm := wgsltest.Dirty(t, d, s.Pair, "mixed", rows, c)
					tc, tw := wgsltest.Dirty(t, d, s.Pair, "scaled", rows, c), wgsltest.Dirty(t, d, gpu.F32, "wide",
						rows, c)
					wgsltest.Run(t, d, func(p *gpu.Pass) {
						Mix(p, tm, ta, tb, 0.25, 0.75)
						Mix(p, tc, ta, tb, 3, 0)
						Widen(p, tw, tx)
					})
					wgsltest.Compare(t, "mixed", gputest.Read(t, d, tm), mixed,
						wgsltest.Tolerance{Abs: 1e-7, Rel: 2e-7}.In(s.Pair))
					wgsltest.Compare(t, "scaled", gputest.Read(t, d, tc), scaled,
						wgsltest.Tolerance{Abs: 0, Rel: 2e-7}.In(s.Pair))
					wgsltest.Compare(t, "wide", gputest.Read(t, d, tw), x, wgsltest.Equal)
					wgsltest.ZeroPadding(t, d, tm, tc, tw)
					wgsltest.Unchanged(t, d, ta, a)
					wgsltest.Unchanged(t, d, tb, b)
					wgsltest.Unchanged(t, d, tx, x)
				})
			})
		}
	}
}

func TestZero(t *testing.T) {
	for _, dtype := range []gpu.DType{gpu.F32, gpu.BF16, gpu.I8, gpu.U32} {
		for _, shape := range [][]int{{1}, {63}, {64}, {65}, {3, 130}, {7, 500}} {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				x, err := d.New(gpu.Spec{Name: "x", Class: gpu.Scratch, DType: dtype, Shape: shape})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { d.Free(x) })
				for _, restricted := range []bool{false, true} {
					full := make([]uint32, x.Words())
					for i := range full {
						full[i] = math.MaxUint32
					}
					if err := d.Write(x, 0, full); err != nil {
						t.Fatal(err)
					}
					if restricted {
						defer gpu.RestrictBinding(d, 512)()
					}
					wgsltest.Run(t, d, func(p *gpu.Pass) { Zero(p, x) })
					if slices.ContainsFunc(wgsltest.Words(t, d, x), func(w uint32) bool { return w != 0 }) {
						t.Errorf("%s %v: not all zero, restricted: %t", dtype, shape, restricted)
					}
				}
			})
		}
	}
}

// Only the rows of a view are cleared.
func TestZeroOfAPart(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		want := wgsltest.Random(1, 24*64, 1)
		x := gputest.Tensor(t, d, "x", want, 24, 64)
		wgsltest.Run(t, d, func(p *gpu.Pass) { Zero(p, x.Part(8, 12)) })
		clear(want[8*64 : 20*64])
		wgsltest.Compare(t, "x", gputest.Read(t, d, x), want, wgsltest.Equal)
	})
}

// Kernels over flat storage in parts equal those in one, bit for bit.
func TestFlatInParts(t *testing.T) {
	const rows, c = 7, 130
	n := rows * c
	for _, s := range wgsltest.PairStorages {
		t.Run(s.Suffix()[1:], func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				a, b := gputest.Tensor(t, d, "a", wgsltest.Random(1, n, 1), rows, c), gputest.Tensor(t, d, "b",
					wgsltest.Random(2, n, 1), rows, c)
				x := gputest.TensorOf(t, d, s.Pair, "x", wgsltest.Random(3, n, 1), rows, c)
				y := gputest.TensorOf(t, d, s.Pair, "y", wgsltest.Random(4, n, 1), rows, c)
				z := gputest.TensorOf(t, d, s.Pair, "z", wgsltest.Random(5, n, 1), rows, c)
				var results [2][]gpu.Tensor
				for i := range results {
					mixed, wide := wgsltest.Dirty(t, d, s.Pair, "mixed", rows, c), wgsltest.Dirty(t, d, gpu.F32, "wide",
						rows, c)
					act, dgate, dup := wgsltest.Dirty(t, d, s.Pair, "act", rows, c), wgsltest.Dirty(t, d, s.Pair,
						"dgate", rows, c), wgsltest.Dirty(t, d, s.Pair, "dup", rows, c)
					results[i] = []gpu.Tensor{mixed, wide, act, dgate, dup}
					if i == 1 {
						defer gpu.RestrictBinding(d, 1024)() // 256 elements of f32: a part ends within a row
					}
					wgsltest.Run(t, d, func(p *gpu.Pass) {
						Mix(p, mixed, a, b, 0.25, 0.75)
						Widen(p, wide, x)
						SwiGLUForward(p, act, x, y)
						SwiGLUBackward(p, dgate, dup, z, x, y)
					})
				}
				for i, whole := range results[0] {
					wgsltest.SameWords(t, d, results[1][i], whole)
				}
			})
		})
	}
}

func TestFlatRefuses(t *testing.T) {
	d := gpu.NewHost()
	a, b, h := gputest.Tensor(t, d, "a", nil, 3, 5), gputest.Tensor(t, d, "b", nil, 5, 3), gputest.TensorOf(t, d,
		gpu.BF16, "h", nil, 3, 5)
	for want, record := range map[string]func(p *gpu.Pass){
		"mix: tensor b is (5, 3) where (3, 5) is needed": func(p *gpu.Pass) { Mix(p, h, b, a, 1, 0) },
		"widen: no tensor":                      func(p *gpu.Pass) { Widen(p, gpu.Tensor{}, a) },
		"mix: no tensor where (3, 5) is needed": func(p *gpu.Pass) { Mix(p, h, a, gpu.Tensor{}, 1, 0) },
		"kernel widen_f32: tensor h is bf16":    func(p *gpu.Pass) { Widen(p, h, a) },
	} {
		p := d.Begin("refuse")
		record(p)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
