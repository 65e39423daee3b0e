package ref

import (
	"math"
	"testing"
)

func TestAttentionGradients(t *testing.T) {
	for _, s := range []AttentionShape{
		{B: 1, T: 1, H: 1, KV: 1, D: 1},
		{B: 2, T: 5, H: 4, KV: 2, D: 6},
		{B: 1, T: 7, H: 4, KV: 1, D: 3},
	} {
		nq, nk, ns := s.B*s.T*s.H*s.D, s.B*s.T*s.KV*s.D, s.B*s.H*s.T
		q, k, v, dout := random(1, nq, 1), random(2, nk, 1), random(3, nk, 1), random(4, nq, 1)
		out, lse, delta := make([]float64, nq), make([]float64, ns), make([]float64, ns)
		dq, dk, dv := make([]float64, nq), make([]float64, nk), make([]float64, nk)
		AttentionForward(out, lse, q, k, v, s)
		AttentionBackwardQuery(dq, delta, dout, out, q, k, v, lse, s)
		AttentionBackwardKeyValue(dk, dv, dout, q, k, v, lse, delta, s)
		loss := func() float64 {
			y := make([]float64, nq)
			AttentionForward(y, make([]float64, ns), q, k, v, s)
			return dot(y, dout)
		}
		checkGradient(t, "dq", q, dq, loss)
		checkGradient(t, "dk", k, dk, loss)
		checkGradient(t, "dv", v, dv, loss)
	}
}

// By hand: equal scores average the values seen so far, and a later key never
// reaches an earlier query.
func TestAttentionForwardByHand(t *testing.T) {
	s := AttentionShape{B: 1, T: 3, H: 1, KV: 1, D: 1}
	out, lse := make([]float64, 3), make([]float64, 3)
	AttentionForward(out, lse, []float64{0, 0, 2}, []float64{5, -1, 1}, []float64{2, 4, 9}, s)
	e := []float64{math.Exp(10), math.Exp(-2), math.Exp(2)}
	total := e[0] + e[1] + e[2]
	for i, want := range []float64{2, 3, (2*e[0] + 4*e[1] + 9*e[2]) / total} {
		if math.Abs(out[i]-want) > 1e-12 {
			t.Errorf("out[%d] is %g, want %g", i, out[i], want)
		}
	}
	for i, want := range []float64{0, math.Log(2), math.Log(total)} {
		if math.Abs(lse[i]-want) > 1e-12 {
			t.Errorf("lse[%d] is %g, want %g", i, lse[i], want)
		}
	}
}
