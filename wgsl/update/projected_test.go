package update

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/update/ref"
	"steplm/wgsl/wgsltest"
)

// Normal numbers are the reference's, their moments and tails a normal distribution's, and
// another key or count gives others that are not correlated with them.
func TestNormals(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		made := func(draw Draw, shape ...int) []float32 {
			x := wgsltest.Dirty(t, d, gpu.F32, "x", shape...)
			wgsltest.Run(t, d, func(p *gpu.Pass) { Normals(p, x, 0.5, draw) })
			wgsltest.ZeroPadding(t, d, x)
			want := make([]float32, x.Elements())
			ref.Normals(want, x.Cols(), x.Stride(), 0.5, draw)
			got := gputest.Read(t, d, x)
			wgsltest.Compare(t, fmt.Sprint("normals", shape), got, want, wgsltest.Tolerance{Abs: 2e-6, Rel: 2e-6})
			return got
		}
		made(Draw{Key: 1, Count: 1}, 1, 1)
		made(Draw{Key: 1, Count: 1}, 3, 65)
		const rows, cols = 256, 512
		first := made(Draw{Key: 7, Count: 3}, rows, cols)
		var mean, square, fourth, beyond float64
		for _, x := range first {
			z := 2 * float64(x)
			mean, square, fourth = mean+z, square+z*z, fourth+z*z*z*z
			if math.Abs(z) > 3 {
				beyond++
			}
		}
		const n = rows * cols
		for what, x := range map[string][3]float64{ // value, expectation, five standard deviations
			"mean": {mean / n, 0, 5 / math.Sqrt(n)}, "variance": {square / n, 1, 5 * math.Sqrt(2.0/n)},
			"fourth moment":  {fourth / n, 3, 5 * math.Sqrt(96.0/n)},
			"share beyond 3": {beyond / n, 0.0026998, 5 * math.Sqrt(0.0027/n)},
		} {
			if !(math.Abs(x[0]-x[1]) <= x[2]) {
				t.Errorf("%s %g, want %g within %g", what, x[0], x[1], x[2])
			}
		}
		for _, draw := range []Draw{{Key: 8, Count: 3}, {Key: 7, Count: 4}} {
			product := 0.0
			for i, x := range made(draw, rows, cols) {
				product += 4 * float64(x) * float64(first[i])
			}
			if !(math.Abs(product/n) <= 5/math.Sqrt(n)) {
				t.Errorf("%+v: correlation %g", draw, product/n)
			}
		}
	})
}

func TestDirection(t *testing.T) {
	for _, shape := range [][2]int{{1, 1}, {3, 5}, {65, 24}} {
		n := shape[0] * shape[1]
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			o := AdamW{Beta1: 0.9, Beta2: 0.999, Eps: 1e-6}
			m, v := gputest.Tensor(t, d, "m", nil, shape[:]...), gputest.Tensor(t, d, "v", nil, shape[:]...)
			out, stats := wgsltest.Dirty(t, d, gpu.F32, "out", shape[:]...), clipped(t, d, 4, 0.25)
			a, b, want := make([]float32, n), make([]float32, n), make([]float32, n)
			var tg gpu.Tensor
			for step := range 4 {
				g := wgsltest.Random(uint64(step), n, 1)
				g[0] = 0 // a moment of none gives no direction
				tg = gputest.Tensor(t, d, "g", g, shape[:]...)
				wgsltest.Run(t, d, func(p *gpu.Pass) { Direction(p, m, v, out, tg, stats, o) })
				ref.Direction(a, b, want, g, []float32{0, 4, 0.25}, o)
			}
			wgsltest.Compare(t, "m", gputest.Read(t, d, m), a, wgsltest.Tolerance{Abs: 1e-7, Rel: 2e-6})
			wgsltest.Compare(t, "v", gputest.Read(t, d, v), b, wgsltest.Tolerance{Abs: 1e-9, Rel: 5e-6})
			wgsltest.Compare(t, "direction", gputest.Read(t, d, out), want, wgsltest.Tolerance{Abs: 1e-5, Rel: 1e-5})
			wgsltest.ZeroPadding(t, d, m, v, out)
			bad, was := clipped(t, d, float32(math.NaN()), 0), gputest.Read(t, d, m)
			wgsltest.Run(t, d, func(p *gpu.Pass) { Direction(p, m, v, out, tg, bad, o) })
			wgsltest.Unchanged(t, d, m, was)
		})
	}
}

// Factors by row and of all, in a first update and in one that grows, some rows of zeros.
func TestLimitedFactors(t *testing.T) {
	for _, vectors := range []int{1, 5, 64, 200} {
		directions, projected, squares := wgsltest.Random(1, vectors, 1), wgsltest.Random(2, vectors, 1),
			wgsltest.Random(3, vectors, 2)
		for _, x := range [][]float32{directions, projected, squares} {
			for i := range x {
				x[i] *= x[i]
			}
			x[vectors-1] = 0
		}
		if vectors == 1 {
			directions[0], projected[0], squares[0] = 2, 3, 5
		}
		for _, all := range []bool{false, true} {
			n := vectors
			if all {
				n = 1
			}
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				tensor := func(name string, x []float32) gpu.Tensor { return gputest.Tensor(t, d, name, x, len(x)) }
				td, tp := tensor("directions", directions), tensor("projected", projected)
				tq := tensor("squares", squares)
				norm, stats := gputest.Tensor(t, d, "norm", nil, 1), clipped(t, d, 4, 0.25)
				stored, was := []float32{0}, float32(0)
				for update := range 3 {
					out := wgsltest.Dirty(t, d, gpu.F32, "factors", n)
					if update == 1 { // twice the gradient
						multiply(t, d, tq, squares, 4)
					}
					wgsltest.Run(t, d, func(p *gpu.Pass) {
						LimitedFactors(p, out, norm, td, tp, tq, stats, all, update == 0, 8)
					})
					want := make([]float32, n)
					ref.LimitedFactors(want, stored, directions, projected, squares, []float32{0, 4, 0.25}, all,
						update == 0, 8)
					tol := wgsltest.Tolerance{Abs: 1e-30, Rel: 1e-5}
					wgsltest.Compare(t, fmt.Sprint("factors of update ", update), gputest.Read(t, d, out), want, tol)
					wgsltest.ZeroPadding(t, d, out)
					wgsltest.Compare(t, "norm", gputest.Read(t, d, norm), stored, tol)
					if growth := stored[0] / was; update > 0 && !(growth <= 1.0101) {
						t.Errorf("update %d grew by %g", update, growth)
					}
					was = stored[0]
				}
				bad := clipped(t, d, float32(math.NaN()), 0)
				out := gputest.Tensor(t, d, "factors", nil, n)
				wgsltest.Run(t, d, func(p *gpu.Pass) { LimitedFactors(p, out, norm, td, tp, tq, bad, all, false, 8) })
				if got := gputest.Read(t, d, norm)[0]; math.Abs(float64(got-was)) > 1e-5*float64(was) {
					t.Errorf("without a norm the stored one became %g, it was %g", got, was)
				}
				multiply(t, d, tq, squares, 0.25)
			})
		}
	}
	d := gpu.NewHost()
	x, y := gputest.Tensor(t, d, "x", nil, 9), gputest.Tensor(t, d, "y", nil, 4)
	p := d.Begin("refuse")
	LimitedFactors(p, x, x, y, y, x, x, false, false, 1)
	if err := p.End(); err == nil || !strings.Contains(err.Error(), "tensor y is (1, 4) where (1, 9)") {
		t.Errorf("error %v", err)
	}
}

// multiply multiplies values and writes them to a tensor.
func multiply(t *testing.T, d gpu.Device, x gpu.Tensor, values []float32, by float32) {
	t.Helper()
	for i := range values {
		values[i] *= by
	}
	if err := gpu.WriteF32(d, x, values); err != nil {
		t.Fatal(err)
	}
}
