package ref

import "math"

// ScaleVectors multiplies x, words of float32 in rows of stride elements, by its factors.
func ScaleVectors(x []uint32, factors []float32, stride int, by By) {
	o := Applied{By: by, Stride: stride}
	for i, w := range x {
		x[i] = math.Float32bits(float32(float64(math.Float32frombits(w)) * o.factor(factors, i)))
	}
}
