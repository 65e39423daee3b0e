package ref

// Add adds x to out.
func Add[F Float](out, x []F) {
	for i := range out {
		out[i] += x[i]
	}
}

// Mix sets out to wa * a + wb * b; with wb 0, b is not read, and a is copied if
// then wa is 1.
func Mix[F Float](out, a, b []F, wa, wb float32) {
	if wb == 0 && wa == 1 {
		copy(out, a)
		return
	}
	for i := range out {
		value := float64(wa) * float64(a[i])
		if wb != 0 {
			value += float64(wb) * float64(b[i])
		}
		out[i] = F(value)
	}
}

// Widen sets out to x.
func Widen[F Float](out, x []F) { copy(out, x) }
