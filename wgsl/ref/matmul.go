package ref

import "math"

// MatmulShape is the product out(M,N) = [out +] Scale op(a) op(b), summed over
// k from Begin to End of K.
type MatmulShape struct {
	M, N, K    int
	Begin, End int
	Accumulate bool
	Scale      float32
}

// The sums are float32 fused multiply-adds with k ascending, as in the
// kernels: where a device's fma is exact the results are equal bit for bit.
func fma32(a, b, c float32) float32 { return float32(math.FMA(float64(a), float64(b), float64(c))) }

// MatmulNN is out(M,N) from a(M,K) and b(K,N).
func MatmulNN(out, a, b []float32, s MatmulShape) {
	for i := range s.M {
		row := out[i*s.N : (i+1)*s.N]
		if !s.Accumulate {
			clear(row)
		}
		for k := s.Begin; k < s.End; k++ {
			x := s.Scale * a[i*s.K+k]
			for j, y := range b[k*s.N : (k+1)*s.N] {
				row[j] = fma32(x, y, row[j])
			}
		}
	}
}

// MatmulNT is out(M,N) from a(M,K) and b(N,K).
func MatmulNT(out, a, b []float32, s MatmulShape) {
	for i := range s.M {
		for j := range s.N {
			sum := float32(0)
			if s.Accumulate {
				sum = out[i*s.N+j]
			}
			x, y := a[i*s.K:], b[j*s.K:]
			for k := s.Begin; k < s.End; k++ {
				sum = fma32(s.Scale*x[k], y[k], sum)
			}
			out[i*s.N+j] = sum
		}
	}
}

// MatmulTN is out(M,N) from a(K,M) and b(K,N).
func MatmulTN(out, a, b []float32, s MatmulShape) {
	for i := range s.M {
		row := out[i*s.N : (i+1)*s.N]
		if !s.Accumulate {
			clear(row)
		}
		for k := s.Begin; k < s.End; k++ {
			x := s.Scale * a[k*s.M+i]
			for j, y := range b[k*s.N : (k+1)*s.N] {
				row[j] = fma32(x, y, row[j])
			}
		}
	}
}
