package ref

import "testing"

func TestBiasGradients(t *testing.T) {
	const rows, c = 4, 5
	x, bias, dout := random(1, rows*c, 1), random(2, c, 1), random(3, rows*c, 1)
	dbias := make([]float64, c)
	BiasBackward(dbias, dout, false)
	checkGradient(t, "dbias", bias, dbias, func() float64 {
		y := append([]float64(nil), x...)
		BiasForward(y, bias)
		return Dot(y, dout)
	})
}
