package ref

import "testing"

func TestSwiGLUGradients(t *testing.T) {
	const n = 9
	gate, up, dout := random(1, n, 2), random(2, n, 1), random(3, n, 1)
	dgate, dup := make([]float64, n), make([]float64, n)
	SwiGLUBackward(dgate, dup, dout, gate, up)
	loss := func() float64 {
		y := make([]float64, n)
		SwiGLUForward(y, gate, up)
		return Dot(y, dout)
	}
	checkGradient(t, "dgate", gate, dgate, loss)
	checkGradient(t, "dup", up, dup, loss)
}
