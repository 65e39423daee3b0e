package ref

import "math"

// QuantizeGroup is the elements of a row that share a scale.
const QuantizeGroup = 64

// Quantize sets q to the elements of x (rows, cols) over their group's scale,
// rounded half away from zero to -127..127, and scales (rows, ceil(cols/64)).
//
// A scale is the group's largest magnitude times 1/127, rounded to 16 significant
// bits: then every q * scale, and every bound (q + 1/2) * scale between two q, is a
// float32, and quantizing again what q and scale stand for changes neither. Groups
// below 2^-118 throughout are zeros with scale 0 (half their scale, the first bound,
// could be denormal, which some devices take for 0); the scale of one with an infinity
// or NaN is NaN.
func Quantize(q []int8, scales, x []float32, rows, cols int) {
	groups := (cols + QuantizeGroup - 1) / QuantizeGroup
	for row := range rows {
		for g := range groups {
			at, end := row*cols+g*QuantizeGroup, row*cols+min(cols, (g+1)*QuantizeGroup)
			s := quantizeScale(x[at:end])
			scales[row*groups+g] = s
			for i := at; i < end; i++ {
				q[i] = 0
				if s > 0 { // neither 0 nor NaN
					steps := math.Floor(math.Abs(float64(x[i]))/float64(s) + 0.5)
					q[i] = int8(math.Copysign(min(steps, 127), float64(x[i])))
				}
			}
		}
	}
}

func quantizeScale(group []float32) float32 {
	most := uint32(0) // magnitudes order as their bits do
	for _, v := range group {
		most = max(most, math.Float32bits(v)&0x7fffffff)
	}
	switch {
	case most >= 0x7f800000:
		return float32(math.NaN())
	case most < 0x04800000: // 2^-118
		return 0
	}
	const reciprocal = 1.0 / 127
	return math.Float32frombits((math.Float32bits(math.Float32frombits(most)*float32(reciprocal)) + 0x80) &^ 0xff)
}

// Dequantize sets out (rows, cols) to q times the scales of its groups.
func Dequantize(out []float32, q []int8, scales []float32, rows, cols int) {
	groups := (cols + QuantizeGroup - 1) / QuantizeGroup
	for row := range rows {
		for j := range cols {
			out[row*cols+j] = float32(q[row*cols+j]) * scales[row*groups+j/QuantizeGroup]
		}
	}
}
