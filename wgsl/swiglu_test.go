package wgsl

import (
	"fmt"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/wgsl/ref"
)

func TestSwiGLU(t *testing.T) {
	for _, size := range shapes {
		rows, c := size[0], size[1]
		for _, s := range pairStorages {
			n := rows * c
			gate, up, dout := stored(s.pair, random(1, n, 2)), stored(s.pair, random(2, n, 1)), stored(s.pair, random(3, n, 1))
			gate[0] = -100 // exp(100) is infinite in f32
			want, wantGate, wantUp := make([]float32, n), make([]float32, n), make([]float32, n)
			ref.SwiGLUForward(want, gate, up)
			ref.SwiGLUBackward(wantGate, wantUp, dout, gate, up)
			t.Run(fmt.Sprint(size, s.suffix()), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					tensor := func(name string, x []float32) gpu.Tensor { return gputest.TensorOf(t, d, s.pair, name, x, rows, c) }
					g, u, do := tensor("gate", gate), tensor("up", up), tensor("dout", dout)
					out, dg, du := dirty(t, d, s.pair, "out", rows, c), dirty(t, d, s.pair, "dgate", rows, c), dirty(t, d, s.pair, "dup", rows, c)
					run(t, d, func(p *gpu.Pass) {
						SwiGLUForward(p, out, g, u)
						SwiGLUBackward(p, dg, du, do, g, u)
					})
					tol := tolerance{1e-6, 2e-6}.in(s.pair)
					compare(t, "out", gputest.Read(t, d, out), want, tol)
					compare(t, "dgate", gputest.Read(t, d, dg), wantGate, tol)
					compare(t, "dup", gputest.Read(t, d, du), wantUp, tol)
					zeroPadding(t, d, out, dg, du)
					unchanged(t, d, g, gate)
					unchanged(t, d, u, up)
					unchanged(t, d, do, dout)
				})
			})
		}
	}
}
