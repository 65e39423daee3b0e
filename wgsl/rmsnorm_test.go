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

func TestRMSNorm(t *testing.T) {
	const eps = 1e-5
	for _, size := range [][2]int{{1, 1}, {3, 5}, {4, 8}, {2, 63}, {15, 64}, {16, 65}, {17, 130}, {33, 31}, {34, 33},
		{300, 200}} {
		rows, c := size[0], size[1]
		for _, s := range kernel.Storages {
			x, weight, dout := wgsltest.Stored(s.Pair, wgsltest.Random(1, rows*c, 2)), wgsltest.Stored(s.Pair,
				wgsltest.Random(2, c, 1)), wgsltest.Stored(s.Pair, wgsltest.Random(3, rows*c, 1))
			// gradients are added
			dx, dweight := wgsltest.Stored(s.Pair, wgsltest.Random(4, rows*c, 1)), wgsltest.Stored(s.Grad,
				wgsltest.Random(5, c, 1))
			out, rstd, wantX, wantWeight, wantSet := make([]float32, rows*c), make([]float32, rows), slices.Clone(dx),
				slices.Clone(dweight), make([]float32, c)
			ref.RMSNormForward(out, rstd, x, weight, rows, c, eps)
			ref.RMSNormBackward(wantX, dout, x, weight, rstd, rows, c)
			ref.RMSNormBackwardWeight(wantWeight, dout, x, rstd, rows, c, true)
			ref.RMSNormBackwardWeight(wantSet, dout, x, rstd, rows, c, false)
			eachVariant(t, fmt.Sprint(size, s.Suffix()), func(t *testing.T, rowEach bool) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					tx, tw, tg := gputest.TensorOf(t, d, s.Pair, "x", x, rows, c), gputest.TensorOf(t, d, s.Pair,
						"weight", weight, c), gputest.TensorOf(t, d, s.Pair, "dout", dout, rows, c)
					to, tr := wgsltest.Dirty(t, d, s.Pair, "out", rows, c), gputest.Tensor(t, d, "rstd", nil, rows)
					tdx, tdw := gputest.TensorOf(t, d, s.Pair, "dx", dx, rows, c), gputest.TensorOf(t, d, s.Grad,
						"dweight", dweight, c)
					set := wgsltest.Dirty(t, d, s.Grad, "dweight set", c)
					wgsltest.Run(t, d, func(p *gpu.Pass) {
						recordRMSNormForward(p, rowEach, to, tr, tx, tw, eps)
						recordRMSNormBackward(p, rowEach, tdx, tg, tx, tw, tr)
						RMSNormBackwardWeight(p, tdw, tg, tx, tr, true)
						RMSNormBackwardWeight(p, set, tg, tx, tr, false)
					})
					wgsltest.Compare(t, "out", gputest.Read(t, d, to), out,
						wgsltest.Tolerance{Abs: 1e-6, Rel: 2e-6}.In(s.Pair))
					wgsltest.Compare(t, "rstd", gputest.Read(t, d, tr), rstd, wgsltest.Tolerance{Abs: 0, Rel: 2e-6})
					wgsltest.Compare(t, "dx", gputest.Read(t, d, tdx), wantX,
						wgsltest.Tolerance{Abs: 4e-6, Rel: 4e-6}.In(s.Pair))
					wgsltest.Compare(t, "dweight", gputest.Read(t, d, tdw), wantWeight,
						wgsltest.Tolerance{Abs: 2e-5, Rel: 4e-6}.In(s.Grad))
					wgsltest.Compare(t, "dweight set", gputest.Read(t, d, set), wantSet,
						wgsltest.Tolerance{Abs: 2e-5, Rel: 4e-6}.In(s.Grad))
					wgsltest.ZeroPadding(t, d, to, tr, tdx, tdw, set)
					wgsltest.Unchanged(t, d, tx, x)
					wgsltest.Unchanged(t, d, tw, weight)
					wgsltest.Unchanged(t, d, tg, dout)
				})
			})
		}
	}
}

// eachVariant runs a test with a workgroup per row, as GPUs have it, and with an
// invocation.
func eachVariant(t *testing.T, name string, test func(t *testing.T, rowEach bool)) {
	t.Run(name, func(t *testing.T) { test(t, false) })
	t.Run(name+" row each", func(t *testing.T) { test(t, true) })
}

// More rows than workgroups fit in one dispatch: the device splits the call.
func TestRMSNormManyRows(t *testing.T) {
	const rows, c, eps = 70001, 2, 1e-5
	x, weight := wgsltest.Random(1, rows*c, 2), wgsltest.Random(2, c, 1)
	out, rstd := make([]float32, rows*c), make([]float32, rows)
	ref.RMSNormForward(out, rstd, x, weight, rows, c, eps)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		tx, tw := gputest.Tensor(t, d, "x", x, rows, c), gputest.Tensor(t, d, "weight", weight, c)
		to, tr := gputest.Tensor(t, d, "out", nil, rows, c), gputest.Tensor(t, d, "rstd", nil, rows)
		wgsltest.Run(t, d, func(p *gpu.Pass) { recordRMSNormForward(p, false, to, tr, tx, tw, eps) })
		wgsltest.Compare(t, "out", gputest.Read(t, d, to), out, wgsltest.Tolerance{Abs: 1e-6, Rel: 2e-6})
		wgsltest.Compare(t, "rstd", gputest.Read(t, d, tr), rstd, wgsltest.Tolerance{Abs: 0, Rel: 2e-6})
	})
}

// A row of zeros without eps has an infinite rstd: its results are of no use, its
// padding is.
func TestRMSNormOfInfinityKeepsPadding(t *testing.T) {
	const rows, c = 3, 5
	for _, s := range kernel.Storages {
		eachVariant(t, s.Suffix(), func(t *testing.T, rowEach bool) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				x, weight, dout := gputest.TensorOf(t, d, s.Pair, "x", nil, rows, c), gputest.TensorOf(t, d, s.Pair,
					"weight", wgsltest.Random(2, c, 1), c), gputest.TensorOf(t, d, s.Pair, "dout",
					wgsltest.Random(3, rows*c, 1), rows, c)
				out, rstd := wgsltest.Dirty(t, d, s.Pair, "out", rows, c), gputest.Tensor(t, d, "rstd", nil, rows)
				dx, dweight := gputest.TensorOf(t, d, s.Pair, "dx", nil, rows, c), gputest.TensorOf(t, d, s.Grad,
					"dweight", nil, c)
				wgsltest.Run(t, d, func(p *gpu.Pass) {
					recordRMSNormForward(p, rowEach, out, rstd, x, weight, 0)
					recordRMSNormBackward(p, rowEach, dx, dout, x, weight, rstd)
					RMSNormBackwardWeight(p, dweight, dout, x, rstd, true)
				})
				if f := gputest.Read(t, d, rstd)[0]; f < 3e38 {
					t.Fatalf("rstd is %g: the test is void", f)
				}
				wgsltest.ZeroPadding(t, d, out, dx, dweight)
			})
		})
	}
}

func TestRMSNormRefuses(t *testing.T) {
	d := gpu.NewHost()
	none := func(name string, shape ...int) gpu.Tensor {
		return gpu.Tensor{Spec: gpu.Spec{Name: name, Shape: shape}}
	}
	tall, wide := none("tall", 1<<20, 4), none("wide", 1, 1<<23)
	for want, record := range map[string]func(p *gpu.Pass){
		"rmsnorm_backward_weight: 1048576 rows, at most 524000": func(p *gpu.Pass) {
			RMSNormBackwardWeight(p, none("dweight", 4), tall, tall, none("rstd", 1<<20), false)
		},
		"rmsnorm_forward: 4194304 pairs of columns, at most 2096000": func(p *gpu.Pass) {
			RMSNormForward(p, wide, none("rstd", 1), wide, none("weight", 1<<23), 1e-5)
		},
		"rmsnorm_backward: 4194304 pairs of columns, at most 2096000": func(p *gpu.Pass) {
			RMSNormBackward(p, wide, wide, wide, none("weight", 1<<23), none("rstd", 1))
		},
		"rmsnorm_forward: tensor weight is (1, 5) where (1, 4) is needed": func(p *gpu.Pass) {
			RMSNormForward(p, tall, none("rstd", 1<<20), tall, none("weight", 5), 1e-5)
		},
		"rmsnorm_backward: tensor rstd is (1, 7) where (1, 1048576) is needed": func(p *gpu.Pass) {
			RMSNormBackward(p, tall, tall, tall, none("weight", 4), none("rstd", 7))
		},
	} {
		p := d.Begin("refuse")
		record(p)
		if err := p.End(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
