package ref

import (
	"math"
	"slices"
	"testing"
)

func TestAttentionGradients(t *testing.T) {
	documents := []float64{0, 0, 0, 3, 3, 5, 6, 0, 1, 1, 1, 1, 1, 1, // where documents begin
		3, 3, 3, 5, 5, 6, 7, 1, 7, 7, 7, 7, 7, 7} // where they end
	window := []float64{0, 0, 0, 1, 2, 3, 4, 3, 4, 5, 6, 7, 7, 7} // of three positions
	for _, c := range []struct {
		AttentionShape
		bounds []float64
	}{
		{AttentionShape{B: 1, T: 1, H: 1, KV: 1, D: 1}, nil},
		{AttentionShape{B: 2, T: 5, H: 4, KV: 2, D: 6}, nil},
		{AttentionShape{B: 1, T: 7, H: 4, KV: 1, D: 3}, nil},
		{AttentionShape{B: 2, T: 7, H: 2, KV: 1, D: 4, Documents: true}, documents},
		{AttentionShape{B: 1, T: 7, H: 2, KV: 1, D: 4, Documents: true}, window},
	} {
		s, bounds := c.AttentionShape, c.bounds
		nq, nk, ns := s.B*s.T*s.H*s.D, s.B*s.T*s.KV*s.D, s.B*s.H*s.T
		q, k, v, dout := random(1, nq, 1), random(2, nk, 1), random(3, nk, 1), random(4, nq, 1)
		out, lse, delta := make([]float64, nq), make([]float64, ns), make([]float64, ns)
		dq, dk, dv := make([]float64, nq), make([]float64, nk), make([]float64, nk)
		AttentionForward(out, lse, q, k, v, bounds, s)
		AttentionBackwardQuery(dq, delta, dout, out, q, k, v, lse, bounds, s)
		AttentionBackwardKeyValue(dk, dv, dout, q, k, v, lse, delta, bounds, s)
		loss := func() float64 {
			y := make([]float64, nq)
			AttentionForward(y, make([]float64, ns), q, k, v, bounds, s)
			return Dot(y, dout)
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
	AttentionForward(out, lse, []float64{0, 0, 2}, []float64{5, -1, 1}, []float64{2, 4, 9}, nil, s)
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

// Documents in one window give what each gives alone: outputs, statistics and gradients, to the last bit.
func TestAttentionOfDocumentsIsThatOfEachAlone(t *testing.T) {
	lengths := []int{3, 1, 4, 2}
	whole := AttentionShape{B: 1, T: 10, H: 4, KV: 2, D: 6, Documents: true}
	nq, nk, ns := whole.T*whole.H*whole.D, whole.T*whole.KV*whole.D, whole.H*whole.T
	q, k, v, dout := random(1, nq, 1), random(2, nk, 1), random(3, nk, 1), random(4, nq, 1)
	type results struct{ out, lse, dq, delta, dk, dv []float64 }
	run := func(q, k, v, dout, bounds []float64, s AttentionShape) results {
		r := results{make([]float64, len(q)), make([]float64, s.H*s.T), make([]float64, len(q)),
			make([]float64, s.H*s.T), make([]float64, len(k)), make([]float64, len(k))}
		AttentionForward(r.out, r.lse, q, k, v, bounds, s)
		AttentionBackwardQuery(r.dq, r.delta, dout, r.out, q, k, v, r.lse, bounds, s)
		AttentionBackwardKeyValue(r.dk, r.dv, dout, q, k, v, r.lse, r.delta, bounds, s)
		return r
	}
	bounds := make([]float64, 2*whole.T)
	at := 0
	for _, n := range lengths {
		for i := at; i < at+n; i++ {
			bounds[i], bounds[whole.T+i] = float64(at), float64(at+n)
		}
		at += n
	}
	got := run(q, k, v, dout, bounds, whole)
	if len(got.lse) != ns {
		t.Fatalf("%d statistics, want %d", len(got.lse), ns)
	}
	at = 0
	for _, n := range lengths {
		s := whole
		s.T, s.Documents = n, false
		rows := func(x []float64, width int) []float64 { return x[at*width : (at+n)*width] }
		wq, wk := s.H*s.D, s.KV*s.D
		want := run(rows(q, wq), rows(k, wk), rows(v, wk), rows(dout, wq), nil, s)
		for name, pair := range map[string][2][]float64{
			"out": {rows(got.out, wq), want.out}, "dq": {rows(got.dq, wq), want.dq},
			"dk": {rows(got.dk, wk), want.dk}, "dv": {rows(got.dv, wk), want.dv},
		} {
			if !slices.Equal(pair[0], pair[1]) {
				t.Errorf("document of %d at %d: %s is %v, alone %v", n, at, name, pair[0], pair[1])
			}
		}
		for h := range s.H {
			if !slices.Equal(got.lse[h*whole.T+at:][:n], want.lse[h*n:][:n]) ||
				!slices.Equal(got.delta[h*whole.T+at:][:n], want.delta[h*n:][:n]) {
				t.Errorf("document of %d at %d: the statistics of head %d are not those alone", n, at, h)
			}
		}
		at += n
	}
}
