package ref

import "math"

// MatmulShape is the product out(M,N) = [out +] Scale op(a) op(b), summed over
// K. The matrices may be blocks of larger ones: OutCols, ACols and BCols are the
// elements from one of their rows to the next.
type MatmulShape struct {
	M, N, K               int
	OutCols, ACols, BCols int
	Accumulate            bool
	Scale                 float32
}

// The sums are float32 fused multiply-adds with k ascending, as in the
// kernels: where a device's fma is exact the results are equal bit for bit.
func fma32(a, b, c float32) float32 { return float32(math.FMA(float64(a), float64(b), float64(c))) }

// MatmulNN is out(M,N) from a(M,K) and b(K,N).
func MatmulNN(out, a, b []float32, s MatmulShape) {
	for i := range s.M {
		row := out[i*s.OutCols:][:s.N]
		if !s.Accumulate {
			clear(row)
		}
		for k := range s.K {
			x := s.Scale * a[i*s.ACols+k]
			for j, y := range b[k*s.BCols:][:s.N] {
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
				sum = out[i*s.OutCols+j]
			}
			x, y := a[i*s.ACols:], b[j*s.BCols:]
			for k := range s.K {
				sum = fma32(s.Scale*x[k], y[k], sum)
			}
			out[i*s.OutCols+j] = sum
		}
	}
}

// MatmulTN is out(M,N) from a(K,M) and b(K,N).
func MatmulTN(out, a, b []float32, s MatmulShape) {
	for i := range s.M {
		row := out[i*s.OutCols:][:s.N]
		if !s.Accumulate {
			clear(row)
		}
		for k := range s.K {
			x := s.Scale * a[k*s.ACols+i]
			for j, y := range b[k*s.BCols:][:s.N] {
				row[j] = fma32(x, y, row[j])
			}
		}
	}
}
