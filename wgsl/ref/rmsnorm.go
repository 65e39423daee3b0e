package ref

import "math"

// RMSNormForward sets out = weight * x * rstd and rstd = 1 / sqrt(mean(x^2) + eps),
// row by row.
func RMSNormForward[F Float](out, rstd, x, weight []F, rows, c int, eps float32) {
	for row := range rows {
		xr := x[row*c:][:c]
		s := 1 / math.Sqrt(Dot(xr, xr)/float64(c)+float64(eps))
		rstd[row] = F(s)
		for j := range xr {
			out[row*c+j] = F(float64(weight[j]) * float64(xr[j]) * s)
		}
	}
}

// RMSNormBackward adds rstd * (weight * dout - x * rstd^2 * mean(weight * dout * x))
// to dx.
func RMSNormBackward[F Float](dx, dout, x, weight, rstd []F, rows, c int) {
	for row := range rows {
		xr, g, s := x[row*c:][:c], dout[row*c:][:c], float64(rstd[row])
		mean := 0.0
		for j := range xr {
			mean += float64(weight[j]) * float64(g[j]) * float64(xr[j]) / float64(c)
		}
		for j := range xr {
			dx[row*c+j] = F(float64(dx[row*c+j]) + s*(float64(weight[j])*float64(g[j])-float64(xr[j])*s*s*mean))
		}
	}
}

// RMSNormBackwardWeight sets dweight to the column sums of dout * x * rstd, or adds
// them.
func RMSNormBackwardWeight[F Float](dweight, dout, x, rstd []F, rows, c int, accumulate bool) {
	for j := range c {
		sum := 0.0
		if accumulate {
			sum = float64(dweight[j])
		}
		for row := range rows {
			sum += float64(dout[row*c+j]) * float64(x[row*c+j]) * float64(rstd[row])
		}
		dweight[j] = F(sum)
	}
}
