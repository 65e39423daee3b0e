package ref

// BiasForward adds bias (C) to every row of out (rows, C).
func BiasForward[F Float](out, bias []F) {
	for i := range out {
		out[i] = F(float64(out[i]) + float64(bias[i%len(bias)]))
	}
}

// BiasBackward sets dbias (C) to the column sums of dout (rows, C), or adds them.
func BiasBackward[F Float](dbias, dout []F, accumulate bool) {
	for j := range dbias {
		sum := 0.0
		if accumulate {
			sum = float64(dbias[j])
		}
		for i := j; i < len(dout); i += len(dbias) {
			sum += float64(dout[i])
		}
		dbias[j] = F(sum)
	}
}
