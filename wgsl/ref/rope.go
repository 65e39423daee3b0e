package ref

import "math"

// RopeFrequencies are those of a head of size d, theta^(-2i/d) for pair i.
func RopeFrequencies(d int, theta float64) []float64 {
	f := make([]float64, d/2)
	for i := range f {
		f[i] = math.Pow(theta, -2*float64(i)/float64(d))
	}
	return f
}

// RopeTables returns the cosines and sines (t, d/2) of the angles p f for position p and
// the frequencies f of d/2 pairs, times scale.
func RopeTables(t int, frequencies []float64, scale float64) (cos, sin []float32) {
	half := len(frequencies)
	cos, sin = make([]float32, t*half), make([]float32, t*half)
	for p := range t {
		for i, f := range frequencies {
			angle := float64(p) * f
			cos[p*half+i], sin[p*half+i] = float32(scale*math.Cos(angle)), float32(scale*math.Sin(angle))
		}
	}
	return cos, sin
}

// RopeForward turns the pairs (i, i + d/2) of x (rows, heads, d) by the angles of
// position row modulo t.
func RopeForward[F Float](x []F, cos, sin []float32, rows, t, heads, d int) {
	turn(x, cos, sin, rows, t, heads, d, 1)
}

// RopeBackward turns them back, which is what a gradient needs.
func RopeBackward[F Float](dx []F, cos, sin []float32, rows, t, heads, d int) {
	turn(dx, cos, sin, rows, t, heads, d, -1)
}

func turn[F Float](x []F, cos, sin []float32, rows, t, heads, d int, sign float64) {
	half := d / 2
	for row := range rows {
		for h := range heads {
			head := x[(row*heads+h)*d:][:d]
			for i := range half {
				c, s := float64(cos[row%t*half+i]), sign*float64(sin[row%t*half+i])
				a, b := float64(head[i]), float64(head[i+half])
				head[i], head[i+half] = F(a*c-b*s), F(b*c+a*s)
			}
		}
	}
}
