package wgsl

import (
	"math"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

var adamwTest = AdamW{LR: 3e-3, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, Decay: 0.1, Correction1: 0.19, Correction2: 0.0975}

func TestAdamWStep(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 1000} {
		weight, m, grad := random(1, n+3, 1), random(2, n+3, 0.1), random(3, n+3, 1)
		v := random(4, n+3, 0.1)
		for i := range v {
			v[i] *= v[i]
		}
		grad[0], m[0], v[0] = 0, 0, 0 // a weight without a gradient only decays
		stats := make([]float32, StatWords)
		stats[StatNorm], stats[StatScale] = 4, 0.25
		wantWeight, wantM, wantV := slices.Clone(weight), slices.Clone(m), slices.Clone(v)
		ref.AdamWStep(wantWeight, wantM, wantV, grad, stats, n, adamwTest)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			tw, tm, tv := gputest.Tensor(t, d, "weight", weight, n+3), gputest.Tensor(t, d, "m", m, n+3), gputest.Tensor(t, d, "v", v, n+3)
			tg, ts := gputest.Tensor(t, d, "grad", grad, n+3), gputest.Tensor(t, d, "stats", stats, StatWords)
			run(t, d, func(p *gpu.Pass) { AdamWStep(p, tw, tm, tv, tg, ts, n, adamwTest) })
			compare(t, "weight", gputest.Read(t, d, tw), wantWeight, tolerance{1e-7, 1e-6})
			compare(t, "m", gputest.Read(t, d, tm), wantM, tolerance{1e-7, 1e-6})
			compare(t, "v", gputest.Read(t, d, tv), wantV, tolerance{1e-8, 1e-6})
			unchanged(t, d, tg, grad)
			unchanged(t, d, ts, stats)
		})
	}
}

func TestAdamWStepWritesNothingWithoutANorm(t *testing.T) {
	const n = 70
	weight, m, v, grad := random(1, n, 1), random(2, n, 1), random(3, n, 1), random(4, n, 1)
	for _, norm := range []float32{float32(math.NaN()), float32(math.Inf(1)), math.Float32frombits(0xff800001)} {
		stats := make([]float32, StatWords)
		stats[StatNorm], stats[StatScale] = norm, 1
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			tw, tm, tv := gputest.Tensor(t, d, "weight", weight, n), gputest.Tensor(t, d, "m", m, n), gputest.Tensor(t, d, "v", v, n)
			tg, ts := gputest.Tensor(t, d, "grad", grad, n), gputest.Tensor(t, d, "stats", stats, StatWords)
			run(t, d, func(p *gpu.Pass) { AdamWStep(p, tw, tm, tv, tg, ts, n, adamwTest) })
			unchanged(t, d, tw, weight)
			unchanged(t, d, tm, m)
			unchanged(t, d, tv, v)
		})
	}
}
