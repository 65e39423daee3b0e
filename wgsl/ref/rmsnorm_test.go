package ref

import "testing"

func TestRMSNormGradients(t *testing.T) {
	const rows, c, eps = 3, 5, 1e-2
	x, weight, dout := random(1, rows*c, 1), random(2, c, 1), random(3, rows*c, 1)
	out, rstd := make([]float64, rows*c), make([]float64, rows)
	dx, dweight := make([]float64, rows*c), make([]float64, c)
	RMSNormForward(out, rstd, x, weight, rows, c, eps)
	RMSNormBackward(dx, dout, x, weight, rstd, rows, c)
	RMSNormBackwardWeight(dweight, dout, x, rstd, rows, c, false)
	loss := func() float64 {
		y := make([]float64, rows*c)
		RMSNormForward(y, make([]float64, rows), x, weight, rows, c, eps)
		return Dot(y, dout)
	}
	checkGradient(t, "dx", x, dx, loss)
	checkGradient(t, "dweight", weight, dweight, loss)
}
