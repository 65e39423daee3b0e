package wgsl

import (
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

func TestSwiGLU(t *testing.T) {
	for _, n := range []int{1, 63, 64, 65, 1000} {
		gate, up, dout := random(1, n, 2), random(2, n, 1), random(3, n, 1)
		want, wantGate, wantUp := make([]float32, n), make([]float32, n), make([]float32, n)
		ref.SwiGLUForward(want, gate, up)
		ref.SwiGLUBackward(wantGate, wantUp, dout, gate, up)
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			g, u, do := gputest.Tensor(t, d, "gate", gate, n), gputest.Tensor(t, d, "up", up, n), gputest.Tensor(t, d, "dout", dout, n)
			out, dg, du := gputest.Tensor(t, d, "out", nil, n), gputest.Tensor(t, d, "dgate", nil, n), gputest.Tensor(t, d, "dup", nil, n)
			run(t, d, func(p *gpu.Pass) {
				SwiGLUForward(p, out, g, u, n)
				SwiGLUBackward(p, dg, du, do, g, u, n)
			})
			tol := tolerance{1e-6, 2e-6}
			compare(t, "out", gputest.Read(t, d, out), want, tol)
			compare(t, "dgate", gputest.Read(t, d, dg), wantGate, tol)
			compare(t, "dup", gputest.Read(t, d, du), wantUp, tol)
			unchanged(t, d, g, gate)
			unchanged(t, d, u, up)
			unchanged(t, d, do, dout)
		})
	}
}
