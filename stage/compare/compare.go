package compare

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Level is the share of intervals that hold the true difference, if differences are normally distributed.
const Level = 0.95

// Formula says how an interval is made, for whoever reads one.
const Formula = "d ± t s / √n, where d and s are the mean and the standard deviation (n - 1) of the n differences " +
	"between runs of one seed, and t is the 97.5 % quantile of Student's distribution with n - 1 degrees of freedom"

// Values are a number of each run by its seed.
type Values map[uint64]float64

// Summary is values over seeds.
type Summary struct {
	N    int
	Mean float64 // NaN of no value
	SD   float64 // the sample's standard deviation, over n - 1; NaN of fewer than two
}

// Summary of the values that are numbers.
func (v Values) Summary() Summary {
	list := numbers(v)
	s := Summary{N: len(list), Mean: math.NaN(), SD: math.NaN()}
	if s.N > 0 {
		s.Mean = stat.Mean(list, nil)
	}
	if s.N > 1 {
		s.SD = stat.StdDev(list, nil)
	}
	return s
}

// Difference is the mean of differences between runs of the same seeds, with its interval.
type Difference struct {
	N         int     // seeds that both have
	Mean      float64 // NaN of no seed
	Low, High float64 // of Level, see Formula; NaN of fewer than two seeds
}

// Beyond reports whether the interval leaves 0 out: the difference exceeds what seeds do.
func (d Difference) Beyond() bool { return d.Low > 0 || d.High < 0 }

// Minus is the difference of these values from others, seed by seed.
func (v Values) Minus(other Values) Difference {
	differences := Values{}
	for seed, x := range v {
		if y, both := other[seed]; both {
			differences[seed] = x - y
		}
	}
	s := differences.Summary()
	d := Difference{N: s.N, Mean: s.Mean, Low: math.NaN(), High: math.NaN()}
	if s.N > 1 {
		t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(s.N - 1)}.Quantile(0.5 + Level/2)
		half := t * s.SD / math.Sqrt(float64(s.N))
		d.Low, d.High = s.Mean-half, s.Mean+half
	}
	return d
}

// numbers are the values that are finite, in the order of their seeds: the sum of floats depends on it.
func numbers(v Values) (list []float64) {
	var seeds []uint64
	for seed, x := range v {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			seeds = append(seeds, seed)
		}
	}
	slices.Sort(seeds)
	for _, seed := range seeds {
		list = append(list, v[seed])
	}
	return list
}
