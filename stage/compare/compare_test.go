package compare

import (
	"math"
	"testing"
)

func seeds(list ...float64) Values {
	v := Values{}
	for i, x := range list {
		v[uint64(i+1)] = x
	}
	return v
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) || math.IsNaN(got) != math.IsNaN(want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// The numbers are those of scipy 1.17.1: stats.ttest_rel(a, b).confidence_interval(0.95), and numpy's mean and
// std(ddof=1).
func TestAgainstSciPy(t *testing.T) {
	a, b := seeds(311.0, 306.2, 309.5, 301.25), seeds(305.0, 299.2, 307.75, 300.5)
	s := a.Summary()
	near(t, "the mean", s.Mean, 306.9875)
	near(t, "the standard deviation", s.SD, 4.318636937738574)
	for _, c := range []struct {
		n               int
		mean, low, high float64
		beyond          bool
	}{
		{2, 6.5, 0.14689763191265293, 12.853102368087347, true},
		{3, 14.75 / 3, -2.0081688966046762, 11.84150222993801, false},
		{4, 3.875, -1.0348539152722642, 8.784853915272265, false},
	} {
		first := func(v Values) Values {
			w := Values{}
			for seed := 1; seed <= c.n; seed++ {
				w[uint64(seed)] = v[uint64(seed)]
			}
			return w
		}
		d := first(a).Minus(first(b))
		near(t, "the mean difference", d.Mean, c.mean)
		near(t, "the interval's low end", d.Low, c.low)
		near(t, "the interval's high end", d.High, c.high)
		if d.N != c.n || d.Beyond() != c.beyond {
			t.Errorf("%+v of %d seeds; beyond what seeds do: %t, want %t", d, c.n, d.Beyond(), c.beyond)
		}
		if back := first(b).Minus(first(a)); back.Beyond() != c.beyond {
			t.Errorf("%+v from the other side", back)
		}
	}
}

// Seeds that only one has, and what is no number, are left out; where nothing is left there is no number.
func TestWhatCannotBePaired(t *testing.T) {
	a, b := Values{1: 5, 2: 7, 3: math.NaN(), 9: 100}, Values{1: 4, 2: 9, 3: 1, 8: 50}
	d := a.Minus(b)
	near(t, "the mean difference", d.Mean, -0.5)
	if d.N != 2 || d.Low >= d.High {
		t.Errorf("%+v", d)
	}
	for _, d := range []Difference{a.Minus(nil), Values{1: math.Inf(1)}.Minus(b), Values{}.Minus(Values{})} {
		if d.N != 0 || !math.IsNaN(d.Mean) || !math.IsNaN(d.Low) || d.Beyond() {
			t.Errorf("%+v of no pair", d)
		}
	}
	if d := (Values{1: 3}).Minus(Values{1: 1}); d.N != 1 || d.Mean != 2 || !math.IsNaN(d.High) || d.Beyond() {
		t.Errorf("%+v of one pair", d)
	}
	if s := (Values{4: 2}).Summary(); s.N != 1 || s.Mean != 2 || !math.IsNaN(s.SD) {
		t.Errorf("%+v of one value", s)
	}
}
