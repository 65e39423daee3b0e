package ref

import "testing"

func TestEmbedGradient(t *testing.T) {
	const c, v = 3, 5
	ids := []uint32{4, 1, 4, 0, 1, 4}
	tokens, starts, order := []uint32{0, 1, 4}, []uint32{0, 1, 3, 6}, []uint32{3, 1, 4, 0, 2, 5}
	weight, dout := random(1, v*c, 1), random(2, len(ids)*c, 1)
	dweight := make([]float64, v*c)
	EmbedBackward(dweight, dout, tokens, starts, order, len(tokens), c, 0, v)
	checkGradient(t, "dweight", weight, dweight, func() float64 {
		y := make([]float64, len(ids)*c)
		EmbedForward(y, weight, ids, len(ids), c, 0, v)
		return Dot(y, dout)
	})
}
