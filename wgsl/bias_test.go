package wgsl

import (
	"fmt"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
	"steplm/wgsl/wgsltest"
)

func TestBias(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {3, 5}, {7, 8}, {8, 63}, {9, 64}, {63, 65}, {64, 130}, {65, 7}, {300, 200}} {
		rows, c := size[0], size[1]
		for _, s := range kernel.Storages {
			x, bias, dout := wgsltest.Stored(s.Pair, wgsltest.Random(1, rows*c, 2)),
				wgsltest.Stored(s.Pair, wgsltest.Random(2, c, 1)),
				wgsltest.Stored(s.Pair, wgsltest.Random(3, rows*c, 1))
			dbias := wgsltest.Stored(s.Grad, wgsltest.Random(4, c, 1))
			want, wantBias, wantSet := slices.Clone(x), slices.Clone(dbias), make([]float32, c)
			ref.BiasForward(want, bias)
			ref.BiasBackward(wantBias, dout, true)
			ref.BiasBackward(wantSet, dout, false)
			t.Run(fmt.Sprint(size, s.Suffix()), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					out, tb := gputest.TensorOf(t, d, s.Pair, "out", x, rows, c),
						gputest.TensorOf(t, d, s.Pair, "bias", bias, c)
					tg, tdb := gputest.TensorOf(t, d, s.Pair, "dout", dout, rows, c),
						gputest.TensorOf(t, d, s.Grad, "dbias", dbias, c)
					set := wgsltest.Dirty(t, d, s.Grad, "dbias set", c)
					wgsltest.Run(t, d, func(p *gpu.Pass) {
						BiasForward(p, out, tb)
						BiasBackward(p, tdb, tg, true)
						BiasBackward(p, set, tg, false)
					})
					wgsltest.Compare(t, "out", gputest.Read(t, d, out), want,
						wgsltest.Tolerance{Abs: 1e-7, Rel: 1e-7}.In(s.Pair))
					tol := wgsltest.Tolerance{Abs: 1e-5, Rel: 2e-6}.In(s.Grad)
					wgsltest.Compare(t, "dbias", gputest.Read(t, d, tdb), wantBias, tol)
					wgsltest.Compare(t, "dbias set", gputest.Read(t, d, set), wantSet, tol)
					wgsltest.ZeroPadding(t, d, out, tdb, set)
					wgsltest.Unchanged(t, d, tb, bias)
					wgsltest.Unchanged(t, d, tg, dout)
				})
			})
		}
	}
}

// What a device does not bind at once is taken in parts, whose sums go on where the last one stopped.
func TestBiasInParts(t *testing.T) {
	const rows, c = 4096, 24
	x, bias := wgsltest.Random(1, rows*c, 1), wgsltest.Random(2, c, 1)
	want, wantBias := slices.Clone(x), make([]float32, c)
	ref.BiasForward(want, bias)
	ref.BiasBackward(wantBias, x, false)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		defer gpu.RestrictBinding(d, 64<<10)()
		dout, out, tb := gputest.Tensor(t, d, "dout", x, rows, c), gputest.Tensor(t, d, "out", x, rows, c),
			gputest.Tensor(t, d, "bias", bias, c)
		dbias := wgsltest.Dirty(t, d, gpu.F32, "dbias", c)
		wgsltest.Run(t, d, func(p *gpu.Pass) {
			BiasForward(p, out, tb)
			BiasBackward(p, dbias, dout, false)
		})
		wgsltest.Compare(t, "out", gputest.Read(t, d, out), want, wgsltest.Tolerance{Abs: 1e-7, Rel: 1e-7})
		wgsltest.Compare(t, "dbias", gputest.Read(t, d, dbias), wantBias, wgsltest.Tolerance{Abs: 1e-4, Rel: 4e-6})
	})
}
