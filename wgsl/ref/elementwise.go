package ref

// Add adds n elements of x to out.
func Add[F Float](out, x []F, n int) {
	for i := range n {
		out[i] += x[i]
	}
}

// Mix sets n elements of out to wa * a + wb * b; with wb 0, b is not read, and a
// is copied if then wa is 1.
func Mix[F Float](out, a, b []F, wa, wb float32, n int) {
	switch {
	case wb == 0 && wa == 1:
		copy(out[:n], a)
	case wb == 0:
		for i := range n {
			out[i] = F(float64(wa) * float64(a[i]))
		}
	default:
		for i := range n {
			out[i] = F(float64(wa)*float64(a[i]) + float64(wb)*float64(b[i]))
		}
	}
}

// Fill sets n elements of out to value.
func Fill[F Float](out []F, value F, n int) {
	for i := range n {
		out[i] = value
	}
}
