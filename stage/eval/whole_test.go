package eval

import "testing"

// An evaluation says of how many tokens it scores, as far as that is known.
func TestWholeOfAnEvaluation(t *testing.T) {
	for _, c := range []struct {
		n     int64
		share float64
		most  int64
		want  int64
	}{{0, 0, 0, 0}, {0, 0, 500, 500}, {100, 0.5, 0, 200}, {100, 0.5, 150, 150}, {100, 1, 500, 100},
		{100, 0.9, 100, 100}} {
		if got := (Options{MaxTokens: c.most}).Whole(c.n, c.share); got != c.want {
			t.Errorf("%d tokens, a share of %g, at most %d: %d, want %d", c.n, c.share, c.most, got, c.want)
		}
	}
}
