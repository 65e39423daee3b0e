package wgsl

import (
	"fmt"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
	"steplm/wgsl/wgsltest"
)

func TestSwiGLU(t *testing.T) {
	for _, size := range wgsltest.Shapes {
		rows, c := size[0], size[1]
		for _, s := range wgsltest.PairStorages {
			n := rows * c
			gate, up, dout := wgsltest.Stored(s.Pair, wgsltest.Random(1, n, 2)), wgsltest.Stored(s.Pair,
				wgsltest.Random(2, n, 1)), wgsltest.Stored(s.Pair, wgsltest.Random(3, n, 1))
			gate[0] = -100 // exp(100) is infinite in f32
			want, wantGate, wantUp := make([]float32, n), make([]float32, n), make([]float32, n)
			ref.SwiGLUForward(want, gate, up)
			ref.SwiGLUBackward(wantGate, wantUp, dout, gate, up)
			t.Run(fmt.Sprint(size, s.Suffix()), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					tensor := func(name string, x []float32) gpu.Tensor {
						return gputest.TensorOf(t, d, s.Pair, name, x, rows, c)
					}
					g, u, do := tensor("gate", gate), tensor("up", up), tensor("dout", dout)
					out, dg, du := wgsltest.Dirty(t, d, s.Pair, "out", rows, c), wgsltest.Dirty(t, d, s.Pair, "dgate",
						rows, c), wgsltest.Dirty(t, d, s.Pair, "dup", rows, c)
					wgsltest.Run(t, d, func(p *gpu.Pass) {
						SwiGLUForward(p, out, g, u)
						SwiGLUBackward(p, dg, du, do, g, u)
					})
					tol := wgsltest.Tolerance{Abs: 1e-6, Rel: 2e-6}.In(s.Pair)
					wgsltest.Compare(t, "out", gputest.Read(t, d, out), want, tol)
					wgsltest.Compare(t, "dgate", gputest.Read(t, d, dg), wantGate, tol)
					wgsltest.Compare(t, "dup", gputest.Read(t, d, du), wantUp, tol)
					wgsltest.ZeroPadding(t, d, out, dg, du)
					wgsltest.Unchanged(t, d, g, gate)
					wgsltest.Unchanged(t, d, u, up)
					wgsltest.Unchanged(t, d, do, dout)
				})
			})
		}
	}
}
