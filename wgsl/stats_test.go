package wgsl

import (
	"math"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

func TestSumLosses(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 1000, 200000} {
		losses, stats := random(1, n, 1), random(2, StatWords, 1)
		want := slices.Clone(stats)
		ref.SumLosses(want, losses, n)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			tl, ts := gputest.Tensor(t, d, "losses", losses, n), gputest.Tensor(t, d, "stats", stats, StatWords)
			run(t, d, func(p *gpu.Pass) { SumLosses(p, ts, tl, n) })
			compare(t, "stats", gputest.Read(t, d, ts), want, tolerance{1e-6 * math.Sqrt(float64(n)), 1e-6})
			unchanged(t, d, tl, losses)
		})
	}
}

func TestClipScale(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, normPart - 1, normPart, normPart + 1, 3*normPart + 100} {
		for _, most := range []float32{0, 0.5, 1e6} {
			a, b := random(1, n, 1), random(2, n, 0.1) // two gradients, one norm
			parts := SquaredNormParts(n)
			partials, stats := random(3, 2*parts+1, 1), random(4, StatWords, 1)
			wantPartials, want := slices.Clone(partials), slices.Clone(stats)
			ref.SquaredNorm(wantPartials, a, 0, n)
			ref.SquaredNorm(wantPartials, b, parts, n)
			ref.ClipScale(want, wantPartials, 2*parts, most)
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				ta, tb := gputest.Tensor(t, d, "a", a, n), gputest.Tensor(t, d, "b", b, n)
				tp, ts := gputest.Tensor(t, d, "partials", partials, 2*parts+1), gputest.Tensor(t, d, "stats", stats, StatWords)
				run(t, d, func(p *gpu.Pass) {
					SquaredNorm(p, tp, ta, 0, n)
					SquaredNorm(p, tp, tb, parts, n)
					ClipScale(p, ts, tp, 2*parts, most)
				})
				compare(t, "partials", gputest.Read(t, d, tp), wantPartials, tolerance{1e-30, 1e-5})
				compare(t, "stats", gputest.Read(t, d, ts), want, tolerance{1e-30, 1e-5})
				unchanged(t, d, ta, a)
				unchanged(t, d, tb, b)
			})
		}
	}
}

func TestClipScaleNotFinite(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1)), 1e30} { // its square overflows
		for _, most := range []float32{0, 1} {
			grad := random(1, 100, 1)
			grad[77] = bad
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				tg, tp := gputest.Tensor(t, d, "grad", grad, 100), gputest.Tensor(t, d, "partials", nil, 1)
				ts := gputest.Tensor(t, d, "stats", random(2, StatWords, 1), StatWords)
				run(t, d, func(p *gpu.Pass) {
					SquaredNorm(p, tp, tg, 0, 100)
					ClipScale(p, ts, tp, 1, most)
				})
				stats := gputest.Read(t, d, ts)
				if n := float64(stats[StatNorm]); !math.IsNaN(n) && !math.IsInf(n, 0) {
					t.Errorf("gradient %g: norm %g, want it not finite", bad, n)
				}
				if stats[StatScale] != 0 {
					t.Errorf("gradient %g: scale %g, want 0", bad, stats[StatScale])
				}
			})
		}
	}
}

func TestOneWorkgroupRefuses(t *testing.T) {
	const n = 64*maxLoop + 1
	var x gpu.Tensor
	for name, record := range map[string]func(p *gpu.Pass){
		"sum_losses":            func(p *gpu.Pass) { SumLosses(p, x, x, n) },
		"clip_scale":            func(p *gpu.Pass) { ClipScale(p, x, x, n, 1) },
		"cross_entropy_forward": func(p *gpu.Pass) { CrossEntropyForward(p, x, x, x, 0, 1, n) },
		"cross_entropy":         func(p *gpu.Pass) { CrossEntropy(p, x, x, x, 0, 1, n, 1) },
		"rmsnorm_forward":       func(p *gpu.Pass) { RMSNormForward(p, x, x, x, x, 1, n, 1e-5) },
		"rmsnorm_backward":      func(p *gpu.Pass) { RMSNormBackward(p, x, x, x, x, x, 1, n) },
	} {
		p := gpu.NewHost().Begin("refuse")
		record(p)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), name+": 4194241 elements, at most 4194240") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
