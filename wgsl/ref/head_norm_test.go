package ref

import "testing"

func TestHeadNormGradients(t *testing.T) {
	const rows, heads, d, eps = 3, 2, 5, 1e-2
	x, weight, dout := random(1, rows*heads*d, 1), random(2, d, 1), random(3, rows*heads*d, 1)
	rstd, sums, dweight := make([]float64, rows*heads), make([]float64, heads*d), make([]float64, d)
	RMSNormForward(make([]float64, len(x)), rstd, x, weight, rows*heads, d, eps)
	HeadNormColumns(sums, dout, x, rstd, heads)
	HeadNormSum(dweight, sums, false)
	checkGradient(t, "dweight", weight, dweight, func() float64 {
		y := make([]float64, len(x))
		RMSNormForward(y, make([]float64, rows*heads), x, weight, rows*heads, d, eps)
		return Dot(y, dout)
	})
}
