package matmul

import (
	"fmt"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/wgsltest"
)

// lanesKernelsOf lists kernels of a few types with all that can be chosen.
func lanesKernelsOf() (list []*gpu.Kernel) {
	for _, types := range uniformTypes {
		for i, t := range lanesList {
			list = append(list, lanesVariant{t, types, i%2 == 1}.kernel())
		}
	}
	return append(list, lanesVariant{lanes{1, 64}, dtypes{gpu.F32, gpu.BF16, gpu.BF16}, false}.kernel())
}

func TestLanesDeclared(t *testing.T) { wgsltest.Declared(t, lanesKernelsOf()) }

func TestLanesNoWordOfMetal(t *testing.T) { wgsltest.NoWordOfMetal(t, lanesKernelsOf()) }

func TestLanesShaders(t *testing.T) { wgsltest.Shaders(t, lanesKernelsOf()) }

// Sizes are around those of eights, lanes and rows; with a residual, onto what is there, and with a second product.
func TestLanes(t *testing.T) {
	for _, types := range append(slices.Clone(uniformTypes), dtypes{gpu.F32, gpu.BF16, gpu.BF16}) {
		for i, s := range []Shape{{M: 1, N: 1, K: 1}, {M: 1, N: 7, K: 8}, {M: 2, N: 9, K: 63}, {M: 3, N: 33, K: 255},
			{M: 8, N: 64, K: 256}, {M: 9, N: 65, K: 257}, {M: 17, N: 5, K: 1025}} {
			s.Scale = []float32{0, 0.5}[i%2]
			s.Accumulate = i%3 == 1
			residual, second := i%3 == 2, i%4 == 3
			t.Run(fmt.Sprintf("%s %dx%dx%d", types, s.M, s.N, s.K), func(t *testing.T) {
				testLanes(t, types, s, residual, second)
			})
		}
	}
}

func testLanes(t *testing.T, types dtypes, s Shape, residual, second bool) {
	const rank = 5
	a, b := wgsltest.Stored(types[1], wgsltest.Random(1, s.M*s.K, 1)),
		wgsltest.Stored(types[2], wgsltest.Random(2, s.K*s.N, 1))
	a2, b2 := wgsltest.Stored(types[1], wgsltest.Random(4, s.M*rank, 1)),
		wgsltest.Stored(types[2], wgsltest.Random(5, rank*s.N, 1))
	from := wgsltest.Stored(types[0], wgsltest.Random(3, s.M*s.N, 1))
	one := s
	one.Accumulate = s.Accumulate || residual
	if one.Scale == 0 {
		one.Scale = 1
	}
	want := exact("nt", from, a, b, one)
	if second {
		want = exact("nt", want, a2, b2, Shape{M: s.M, N: s.N, K: rank, Scale: 1, Accumulate: true})
	}
	tol := toleranceOf(s.K, types[0])
	if second && types[0] == gpu.BF16 { // which is rounded twice
		tol.Rel *= 2
		tol.Abs += 1.0 / 128
	}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		x, y := gputest.TensorOf(t, d, types[1], "a", a, s.M, s.K), gputest.TensorOf(t, d, types[2], "b", b, s.N, s.K)
		out := wgsltest.Dirty(t, d, types[0], "out", s.M, s.N)
		s := s
		switch {
		case residual:
			s.Residual = gputest.TensorOf(t, d, types[0], "residual", from, s.M, s.N)
		case s.Accumulate:
			out = gputest.TensorOf(t, d, types[0], "out", from, s.M, s.N)
		}
		if second {
			s.Second = Product{A: gputest.TensorOf(t, d, types[1], "a2", a2, s.M, rank),
				B: gputest.TensorOf(t, d, types[2], "b2", b2, s.N, rank), K: rank}
		}
		wgsltest.Run(t, d, func(p *gpu.Pass) { shared(p, &out, &x, &y, &s) })
		wgsltest.Compare(t, "out", gputest.Read(t, d, out), want, tol)
		wgsltest.ZeroPadding(t, d, out)
		wgsltest.Unchanged(t, d, x, a)
		wgsltest.Unchanged(t, d, y, b)
	})
}

// A row has the same bits with any lanes and among any others, and where b is bound in parts.
func TestLanesAgree(t *testing.T) {
	d := gputest.Adapter(t)
	for _, types := range uniformTypes {
		const m, n, k = 11, 70, 300
		x := gputest.TensorOf(t, d, types[1], "a", wgsltest.Random(1, m*k, 1), m, k)
		y := gputest.TensorOf(t, d, types[2], "b", wgsltest.Random(2, n*k, 1), n, k)
		c := Class{"nt", types, m, n, k}
		want := wgsltest.Dirty(t, d, types[0], "want", m, n)
		wgsltest.Run(t, d, func(p *gpu.Pass) {
			piece := c.piece(&want, &x, &y)
			piece.runLanes(p, lanesList[0])
		})
		for _, v := range lanesList[1:] {
			out := wgsltest.Dirty(t, d, types[0], v.String(), m, n)
			wgsltest.Run(t, d, func(p *gpu.Pass) {
				piece := c.piece(&out, &x, &y)
				piece.runLanes(p, v)
			})
			wgsltest.SameWords(t, d, out, want)
		}
		out := wgsltest.Dirty(t, d, types[0], "in parts", m, n)
		restore := gpu.RestrictBinding(d, 24*y.Bytes()/n)
		wgsltest.Run(t, d, func(p *gpu.Pass) { shared(p, &out, &x, &y, &Shape{M: m, N: n, K: k}) })
		restore()
		wgsltest.SameWords(t, d, out, want)
		for row := range m {
			one := wgsltest.Dirty(t, d, types[0], "a row", 1, n)
			wgsltest.Run(t, d, func(p *gpu.Pass) { shared(p, &one, &x, &y, &Shape{M: 1, N: n, K: k, ARow: row}) })
			wgsltest.SameWords(t, d, one, gpu.Tensor.Part(want, row, 1))
		}
	}
}

// A class is found by its word, and its choice is taken.
func TestLanesClass(t *testing.T) {
	l := gpu.Limits{Shared: true, Invocations: 256, WorkgroupMemory: 16384, Budget: 1e12}
	x := Class{"nt", dtypes{gpu.F32, gpu.BF16, gpu.BF16}, 5, 70, 300}
	piece := x.piece(&gpu.Tensor{Spec: gpu.Spec{DType: gpu.F32}}, &gpu.Tensor{Spec: gpu.Spec{DType: gpu.BF16}},
		&gpu.Tensor{Spec: gpu.Spec{DType: gpu.BF16}})
	c := piece.lanesClass(l)
	if got, ok := ParseLanesClass(c.String()); !ok || got != c || c.M != 8 {
		t.Errorf("%s is read as %v, %t", c, got, ok)
	}
	if v := c.Variants(l); v[0] != "8_64" || len(v) != len(lanesList) {
		t.Errorf("variants %v", v)
	}
	l.WorkgroupMemory = 1024
	for _, word := range c.Variants(l) {
		if k := c.Kernel(word); k.Shared > l.WorkgroupMemory {
			t.Errorf("%s takes %d bytes", k.Name, k.Shared)
		}
	}
}
