package update

import (
	"fmt"
	"math"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/update/ref"
	"steplm/wgsl/wgsltest"
)

// applicable are the states whose parameters take a direction, with the kernels' record.
var applicable = map[string]func(p *gpu.Pass, planes []gpu.Tensor, source, factors, stats gpu.Tensor, o Applied){
	"adamw_f32": func(p *gpu.Pass, x []gpu.Tensor, source, factors, stats gpu.Tensor, o Applied) {
		ApplyF32(p, x[0], source, factors, stats, o)
	},
	"adamw_paper": func(p *gpu.Pass, x []gpu.Tensor, source, factors, stats gpu.Tensor, o Applied) {
		ApplyPaper(p, x[0], x[1], source, factors, stats, o)
	},
	"adamw_split": func(p *gpu.Pass, x []gpu.Tensor, source, factors, stats gpu.Tensor, o Applied) {
		ApplySplit(p, x[0], x[1], source, factors, stats, o)
	},
	"adamw_stochastic": func(p *gpu.Pass, x []gpu.Tensor, source, factors, stats gpu.Tensor, o Applied) {
		ApplyStochastic(p, x[0], source, factors, stats, o)
	},
}

// Every state, with every kind of factors, against the formula in float64; a stochastic
// weight is one of the two next to it. In parts the bits are the same, padding stays zero,
// and nothing is written without a norm.
func TestApply(t *testing.T) {
	for _, shape := range [][2]int{{1, 1}, {3, 5}, {2, 64}, {65, 130}} {
		rows, c := shape[0], shape[1]
		n := rows * c
		for name, record := range applicable {
			for _, grad := range gradTypes(name) {
				for by, count := range map[By]int{Plain: 1, ByTensor: 1, ByRow: rows, ByColumn: c} {
					o := Applied{By: by, Rate: 3e-3, Decay: 1e-3, Draw: Draw{Key: 5, Count: 7}}
					weights, factors := wgsltest.Random(1, n, 1), wgsltest.Random(2, count, 1)
					source := wgsltest.Stored(grad, wgsltest.Random(3, n, 1))
					t.Run(fmt.Sprint(name, grad, by, shape), func(t *testing.T) {
						gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
							x, other := states[name](t, d, weights, rows, c), states[name](t, d, weights, rows, c)
							was := x.master(t, d)
							ts, tf := gputest.TensorOf(t, d, grad, "source", source, rows, c), gputest.Tensor(t, d,
								"factors", factors, count)
							stats := clipped(t, d, 4, 0.25)
							wgsltest.Run(t, d, func(p *gpu.Pass) { record(p, x.planes, ts, tf, stats, o) })
							want := make([]float32, n)
							for i := range want {
								f := 1.0
								switch by {
								case ByTensor:
									f = float64(factors[0])
								case ByRow:
									f = float64(factors[i/c])
								case ByColumn:
									f = float64(factors[i%c])
								}
								w := float64(was[i])
								want[i] = float32(w - float64(o.Rate)*float64(source[i])*f - float64(o.Decay)*w)
							}
							tol := wgsltest.Tolerance{Abs: 1e-7, Rel: 1e-6}
							if name == "adamw_stochastic" {
								tol.Rel = 1.0 / 128
							}
							got := x.master(t, d)
							wgsltest.Compare(t, "master", got, want, tol)
							for _, plane := range x.planes {
								if plane.DType != gpu.U32 {
									wgsltest.ZeroPadding(t, d, plane)
								}
							}
							restore := gpu.RestrictBinding(d, 2048*4)
							wgsltest.Run(t, d, func(p *gpu.Pass) { record(p, other.planes, ts, tf, stats, o) })
							restore()
							for i := range x.planes {
								wgsltest.SameWords(t, d, other.planes[i], x.planes[i])
							}
							bad := clipped(t, d, float32(math.Inf(1)), 0)
							wgsltest.Run(t, d, func(p *gpu.Pass) { record(p, x.planes, ts, tf, bad, o) })
							for i := range x.planes {
								wgsltest.SameWords(t, d, x.planes[i], other.planes[i])
							}
						})
					})
				}
			}
		}
	}
}

// Rounding at random has the right mean, draws differ by key, count and place, and the same
// ones give the same.
func TestStochastic(t *testing.T) {
	const n = 1 << 16
	value := math.Float32frombits(0x3f801000) // a sixteenth of the way from 1 to the next bfloat16
	weights := make([]float32, n)
	source := make([]float32, n)
	for i := range source {
		weights[i], source[i] = 1, 1-value
	}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		rounded := func(draw Draw) []float32 {
			w := gputest.TensorOf(t, d, gpu.BF16, "w", weights, 1, n)
			ts, stats := gputest.TensorOf(t, d, gpu.F32, "source", source, 1, n), clipped(t, d, 1, 1)
			wgsltest.Run(t, d, func(p *gpu.Pass) {
				ApplyStochastic(p, w, ts, stats, stats, Applied{Rate: 1, Draw: draw})
			})
			return gputest.Read(t, d, w)
		}
		first := rounded(Draw{Key: 1, Count: 1})
		ups := 0
		for i, w := range first {
			if w != 1 && w != 1.0078125 {
				t.Fatalf("weight %d is %g", i, w)
			}
			if w > 1 {
				ups++
			}
			draw := uint16(ref.Drawn(uint32(i/8), Draw{Key: 1, Count: 1})[i%4] >> (i % 8 / 4 * 16))
			if want := gpu.FromBF16(ref.Stochastic(value, draw)); w != want {
				t.Fatalf("weight %d is %g, want %g", i, w, want)
			}
		}
		if share := float64(ups) / n; math.Abs(share-1.0/16) > 0.004 { // four standard deviations
			t.Errorf("%g of the weights went up, want a sixteenth", share)
		}
		for _, draw := range []Draw{{Key: 1, Count: 1}, {Key: 2, Count: 1}, {Key: 1, Count: 2}} {
			same := 0
			for i, w := range rounded(draw) {
				if w == first[i] {
					same++
				}
			}
			if again := draw == (Draw{Key: 1, Count: 1}); again != (same == n) || !again && same < n*8/10 {
				t.Errorf("%+v: %d of %d weights are the same", draw, same, n)
			}
		}
	})
}
