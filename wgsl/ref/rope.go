package ref

import "math"

// RopeTables returns the cosines and sines (t, d/2) of the angles
// p theta^(-2i/d) for position p and pair i.
func RopeTables(t, d int, theta float64) (cos, sin []float32) {
	half := d / 2
	cos, sin = make([]float32, t*half), make([]float32, t*half)
	for p := range t {
		for i := range half {
			angle := float64(p) * math.Pow(theta, -2*float64(i)/float64(d))
			cos[p*half+i], sin[p*half+i] = float32(math.Cos(angle)), float32(math.Sin(angle))
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
