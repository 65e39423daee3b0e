package wgsl

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
	"steplm/wgsl/wgsltest"
)

func TestHeadNorm(t *testing.T) {
	const eps = 1e-5
	for _, size := range [][3]int{{1, 1, 8}, {3, 2, 16}, {63, 4, 24}, {65, 3, 64}, {9, 5, 128}, {300, 9, 8}} {
		rows, heads, c := size[0], size[1], size[2]
		n := rows * heads
		for _, s := range kernel.Storages {
			x, weight, dout := wgsltest.Stored(s.Pair, wgsltest.Random(1, n*c, 2)),
				wgsltest.Stored(s.Pair, wgsltest.Random(2, c, 1)),
				wgsltest.Stored(s.Pair, wgsltest.Random(3, n*c, 1))
			dx, dweight := wgsltest.Stored(s.Pair, wgsltest.Random(4, n*c, 1)),
				wgsltest.Stored(s.Grad, wgsltest.Random(5, c, 1))
			out, rstd, wantX, wantWeight, wantSet := make([]float32, n*c), make([]float32, n), slices.Clone(dx),
				slices.Clone(dweight), make([]float32, c)
			ref.RMSNormForward(out, rstd, x, weight, n, c, eps)
			ref.RMSNormBackward(wantX, dout, x, weight, rstd, n, c)
			ref.RMSNormBackwardWeight(wantWeight, dout, x, rstd, n, c, true)
			ref.RMSNormBackwardWeight(wantSet, dout, x, rstd, n, c, false)
			t.Run(fmt.Sprint(size, s.Suffix()), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					tx, tw := gputest.TensorOf(t, d, s.Pair, "x", x, rows, heads*c),
						gputest.TensorOf(t, d, s.Pair, "weight", weight, c)
					tg := gputest.TensorOf(t, d, s.Pair, "dout", dout, rows, heads*c)
					to, tr := wgsltest.Dirty(t, d, s.Pair, "out", rows, heads*c), gputest.Tensor(t, d, "rstd", nil, n)
					tdx, tdw := gputest.TensorOf(t, d, s.Pair, "dx", dx, rows, heads*c),
						gputest.TensorOf(t, d, s.Grad, "dweight", dweight, c)
					set, sums := wgsltest.Dirty(t, d, s.Grad, "dweight set", c),
						wgsltest.Dirty(t, d, gpu.F32, "sums", heads*c)
					wgsltest.Run(t, d, func(p *gpu.Pass) {
						HeadNormForward(p, to, tr, tx, tw, eps)
						HeadNormBackward(p, tdx, tg, tx, tw, tr)
						HeadNormBackwardWeight(p, tdw, sums, tg, tx, tr, true)
						HeadNormBackwardWeight(p, set, sums, tg, tx, tr, false)
					})
					wgsltest.Compare(t, "out", gputest.Read(t, d, to), out,
						wgsltest.Tolerance{Abs: 1e-6, Rel: 2e-6}.In(s.Pair))
					wgsltest.Compare(t, "rstd", gputest.Read(t, d, tr), rstd, wgsltest.Tolerance{Abs: 0, Rel: 2e-6})
					wgsltest.Compare(t, "dx", gputest.Read(t, d, tdx), wantX,
						wgsltest.Tolerance{Abs: 4e-6, Rel: 4e-6}.In(s.Pair))
					tol := wgsltest.Tolerance{Abs: 5e-5, Rel: 8e-6}.In(s.Grad)
					wgsltest.Compare(t, "dweight", gputest.Read(t, d, tdw), wantWeight, tol)
					wgsltest.Compare(t, "dweight set", gputest.Read(t, d, set), wantSet, tol)
					wgsltest.Unchanged(t, d, tx, x)
					wgsltest.Unchanged(t, d, tw, weight)
					wgsltest.Unchanged(t, d, tg, dout)
				})
			})
		}
	}
}

func TestHeadNormRefuses(t *testing.T) {
	d := gpu.NewHost()
	none := func(name string, shape ...int) gpu.Tensor {
		return gpu.Tensor{Spec: gpu.Spec{Name: name, Shape: shape}}
	}
	for want, record := range map[string]func(p *gpu.Pass){
		"head_norm_forward: tensor x has 24 columns and the weight 12 elements": func(p *gpu.Pass) {
			HeadNormForward(p, none("out", 2, 24), none("rstd", 4), none("x", 2, 24), none("weight", 12), 1e-5)
		},
		"head_norm_backward: tensor x has 24 columns and the weight 16 elements": func(p *gpu.Pass) {
			HeadNormBackward(p, none("dx", 2, 24), none("dout", 2, 24), none("x", 2, 24), none("weight", 16),
				none("rstd", 4))
		},
		"head_norm_backward_weight: tensor sums is (1, 8) where (1, 24) is needed": func(p *gpu.Pass) {
			HeadNormBackwardWeight(p, none("dweight", 8), none("sums", 8), none("dout", 2, 24), none("x", 2, 24),
				none("rstd", 6), false)
		},
	} {
		p := d.Begin("refuse")
		record(p)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
