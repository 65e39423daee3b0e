package wgsl

import (
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

func TestRMSNorm(t *testing.T) {
	const eps = 1e-5
	for _, size := range [][2]int{{1, 1}, {2, 63}, {15, 64}, {16, 65}, {17, 15}, {33, 17}, {300, 200}} {
		rows, c := size[0], size[1]
		x, weight, dout := random(1, rows*c, 2), random(2, c, 1), random(3, rows*c, 1)
		dx, dweight := random(4, rows*c, 1), random(5, c, 1) // gradients are added
		out, rstd, wantX, wantWeight := make([]float32, rows*c), make([]float32, rows), slices.Clone(dx), slices.Clone(dweight)
		ref.RMSNormForward(out, rstd, x, weight, rows, c, eps)
		ref.RMSNormBackward(wantX, dout, x, weight, rstd, rows, c)
		ref.RMSNormBackwardWeight(wantWeight, dout, x, rstd, rows, c)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			tx, tw, tg := gputest.Tensor(t, d, "x", x, rows, c), gputest.Tensor(t, d, "weight", weight, c), gputest.Tensor(t, d, "dout", dout, rows, c)
			to, tr := gputest.Tensor(t, d, "out", nil, rows, c), gputest.Tensor(t, d, "rstd", nil, rows)
			tdx, tdw := gputest.Tensor(t, d, "dx", dx, rows, c), gputest.Tensor(t, d, "dweight", dweight, c)
			run(t, d, func(p *gpu.Pass) {
				RMSNormForward(p, to, tr, tx, tw, rows, c, eps)
				RMSNormBackward(p, tdx, tg, tx, tw, tr, rows, c)
				RMSNormBackwardWeight(p, tdw, tg, tx, tr, rows, c)
			})
			compare(t, "out", gputest.Read(t, d, to), out, tolerance{1e-6, 2e-6})
			compare(t, "rstd", gputest.Read(t, d, tr), rstd, tolerance{0, 2e-6})
			compare(t, "dx", gputest.Read(t, d, tdx), wantX, tolerance{4e-6, 4e-6})
			compare(t, "dweight", gputest.Read(t, d, tdw), wantWeight, tolerance{2e-5, 4e-6})
			unchanged(t, d, tx, x)
			unchanged(t, d, tw, weight)
			unchanged(t, d, tg, dout)
		})
	}
}

// More rows than workgroups fit in one dispatch: the device splits the call.
func TestRMSNormManyRows(t *testing.T) {
	const rows, c, eps = 70001, 2, 1e-5
	x, weight := random(1, rows*c, 2), random(2, c, 1)
	out, rstd := make([]float32, rows*c), make([]float32, rows)
	ref.RMSNormForward(out, rstd, x, weight, rows, c, eps)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		tx, tw := gputest.Tensor(t, d, "x", x, rows, c), gputest.Tensor(t, d, "weight", weight, c)
		to, tr := gputest.Tensor(t, d, "out", nil, rows, c), gputest.Tensor(t, d, "rstd", nil, rows)
		run(t, d, func(p *gpu.Pass) { RMSNormForward(p, to, tr, tx, tw, rows, c, eps) })
		compare(t, "out", gputest.Read(t, d, to), out, tolerance{1e-6, 2e-6})
		compare(t, "rstd", gputest.Read(t, d, tr), rstd, tolerance{0, 2e-6})
	})
}

func TestRMSNormBackwardWeightRefuses(t *testing.T) {
	p := gpu.NewHost().Begin("refuse")
	RMSNormBackwardWeight(p, gpu.Tensor{}, gpu.Tensor{}, gpu.Tensor{}, gpu.Tensor{}, 1<<20, 4)
	if err := p.End(); err == nil || !strings.Contains(err.Error(), "1048576 rows, at most 1048560") {
		t.Errorf("error %v", err)
	}
}
