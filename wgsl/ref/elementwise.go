package ref

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

// SumSlices sets out to the sum of so many slices of as many elements, or adds it.
func SumSlices[F Float](out, partials []F, slices int, accumulate bool) {
	for i := range out {
		sum := F(0)
		if accumulate {
			sum = out[i]
		}
		for z := range slices {
			sum += partials[z*len(out)+i]
		}
		out[i] = sum
	}
}

// Widen sets out to x.
func Widen[F Float](out, x []F) { copy(out, x) }
