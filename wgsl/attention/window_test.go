package attention

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/wgsltest"
)

// By hand: five positions, of which a query sees three; and documents of two and three positions that are cut further.
func TestSlide(t *testing.T) {
	for _, c := range []struct {
		begins []uint32
		window int
		want   []float32
	}{
		{nil, 3, []float32{0, 0, 0, 1, 2, 3, 4, 5, 5, 5}},
		{[]uint32{0, 0, 2, 2, 2}, 2, []float32{0, 0, 2, 2, 3, 2, 2, 4, 5, 5}},
		{nil, 5, []float32{0, 0, 0, 0, 0, 5, 5, 5, 5, 5}},
	} {
		bounds, err := Bounds(c.begins, 1, 5)
		if err != nil {
			t.Fatal(err)
		}
		if Slide(bounds, 1, 5, c.window); !slices.Equal(bounds, c.want) {
			t.Errorf("window %d: %v, want %v", c.window, bounds, c.want)
		}
	}
}

// masked is attention in float64 with all scores at once, those outside the window left out: what the kernels, which
// walk the window alone, must give.
func masked(out, lse, q, k, v []float32, s Shape, window int) {
	for b := range s.B {
		for h := range s.H {
			for i := range s.T {
				row := func(x []float32, j, heads, head int) []float32 { return x[((b*s.T+j)*heads+head)*s.D:][:s.D] }
				kv := h / s.Group()
				total, sum := 0.0, make([]float64, s.D)
				for j := range s.T {
					if j > i || i-j >= window {
						continue
					}
					score := 0.0
					for x, y := range row(q, i, s.H, h) {
						score += float64(y) * float64(row(k, j, s.KV, kv)[x])
					}
					e := math.Exp(score / math.Sqrt(float64(s.D)))
					total += e
					for x, y := range row(v, j, s.KV, kv) {
						sum[x] += e * float64(y)
					}
				}
				lse[(b*s.H+h)*s.T+i] = float32(math.Log(total))
				for x := range sum {
					row(out, i, s.H, h)[x] = float32(sum[x] / total)
				}
			}
		}
	}
}

func TestWindow(t *testing.T) {
	for _, s := range []Shape{
		{B: 1, T: 9, H: 2, KV: 1, D: 4}, {B: 2, T: 65, H: 4, KV: 2, D: 8}, {B: 1, T: 130, H: 2, KV: 2, D: 12},
	} {
		for _, window := range []int{1, 2, 8, 63, 64, 65} {
			if window >= s.T {
				continue
			}
			s.Documents = true
			q, k, v := wgsltest.Random(1, s.B*s.T*s.H*s.D, 1), wgsltest.Random(2, s.B*s.T*s.KV*s.D, 1),
				wgsltest.Random(3, s.B*s.T*s.KV*s.D, 1)
			wantOut, wantLSE := make([]float32, len(q)), make([]float32, s.B*s.H*s.T)
			masked(wantOut, wantLSE, q, k, v, s, window)
			bounds, err := Bounds(nil, s.B, s.T)
			if err != nil {
				t.Fatal(err)
			}
			Slide(bounds, s.B, s.T, window)
			t.Run(fmt.Sprint(s, window), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					tq, tk, tv := gputest.Tensor(t, d, "q", q, s.B*s.T, s.H*s.D),
						gputest.Tensor(t, d, "k", k, s.B*s.T, s.KV*s.D), gputest.Tensor(t, d, "v", v, s.B*s.T, s.KV*s.D)
					out, lse := wgsltest.Dirty(t, d, gpu.F32, "out", s.B*s.T, s.H*s.D),
						wgsltest.Dirty(t, d, gpu.F32, "lse", s.B, s.H, s.T)
					tb := gputest.Tensor(t, d, "bounds", bounds, 2*s.B, s.T)
					wgsltest.Run(t, d, func(p *gpu.Pass) { Forward(p, out, lse, tq, tk, tv, tb, s) })
					tol := wgsltest.Tolerance{Abs: 1e-5, Rel: 1e-5}
					wgsltest.Compare(t, "out", gputest.Read(t, d, out), wantOut, tol)
					wgsltest.Compare(t, "lse", gputest.Read(t, d, lse), wantLSE, tol)
				})
			})
		}
	}
}
