// Package ref is what every kernel computes, in plain Go loops: the host
// device's arithmetic and the truth that device tests compare with.
//
// Functions have the names, arguments and order of package wgsl. Sums are in
// float64 where a kernel's order of summation is its own business, so that a
// device is compared with the better answer.
package ref

import "math"

// SwiGLUForward sets out = silu(gate) * up over len(out) elements.
func SwiGLUForward[F Float](out, gate, up []F) {
	for i := range out {
		g := float64(gate[i])
		out[i] = F(g / (1 + math.Exp(-g)) * float64(up[i]))
	}
}

// SwiGLUBackward sets dgate and dup over len(dgate) elements.
func SwiGLUBackward[F Float](dgate, dup, dout, gate, up []F) {
	for i := range dgate {
		d, g, u := float64(dout[i]), float64(gate[i]), float64(up[i])
		s := 1 / (1 + math.Exp(-g))
		dup[i] = F(d * g * s)
		dgate[i] = F(d * u * s * (1 + g*(1-s)))
	}
}
