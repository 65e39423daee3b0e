package ref

import "math"

// Normals sets rows of out (cols elements; stride with padding) to normal numbers of a
// deviation, those of their places under a draw: of each four words of Drawn, two for the
// radius and two for the angle of two pairs, by Box and Muller.
func Normals(out []float32, cols, stride int, deviation float32, d Draw) {
	for i := range out {
		place := i/cols*stride + i%cols
		words := Drawn(uint32(place/4), d)
		pair := place / 2 % 2
		radius := math.Sqrt(-2*math.Log(float64(words[pair]>>8+1)/(1<<24))) * float64(deviation)
		angle := 2 * math.Pi * float64(words[2+pair]>>8) / (1 << 24)
		if place%2 == 0 {
			out[i] = float32(radius * math.Cos(angle))
		} else {
			out[i] = float32(radius * math.Sin(angle))
		}
	}
}
