package ref

// HeadNormColumns sets sums (H D) to the column sums of dout * x * rstd (rows, H D), where each of a row's heads has
// an rstd.
func HeadNormColumns[F Float](sums, dout, x, rstd []F, heads int) {
	columns := len(sums)
	for j := range sums {
		sum := 0.0
		for i := j; i < len(x); i += columns {
			head := i/columns*heads + j/(columns/heads)
			sum += float64(dout[i]) * float64(x[i]) * float64(rstd[head])
		}
		sums[j] = F(sum)
	}
}

// HeadNormSum sets dweight (D) to the sum over heads of sums (H D), or adds it.
func HeadNormSum[F Float](dweight, sums []F, accumulate bool) {
	for j := range dweight {
		sum := 0.0
		if accumulate {
			sum = float64(dweight[j])
		}
		for i := j; i < len(sums); i += len(dweight) {
			sum += float64(sums[i])
		}
		dweight[j] = F(sum)
	}
}
