package inspect

import (
	"cmp"
	"math"
	"slices"
)

// Distribution is a histogram with its moments.
type Distribution struct {
	Count int64   `json:"count"`
	Sum   float64 `json:"sum"`
	Min   float64 `json:"min"`
	Max   float64 `json:"max"`
	Bins  []Bin   `json:"bins"` // ascending; empty ones are left out
}

// Bin counts values of at least From and below To.
type Bin struct {
	From  float64 `json:"from"`
	To    float64 `json:"to"`
	Count int64   `json:"count"`
}

// Mean of the values; 0 of none.
func (d Distribution) Mean() float64 { return d.Sum / float64(max(d.Count, 1)) }

func (d *Distribution) add(v, from, to float64) {
	if d.Count == 0 {
		d.Min, d.Max = v, v
	}
	d.Count++
	d.Sum += v
	d.Min, d.Max = min(d.Min, v), max(d.Max, v)
	i, found := slices.BinarySearchFunc(d.Bins, from,
		func(b Bin, from float64) int { return cmp.Compare(b.From, from) })
	if !found {
		d.Bins = slices.Insert(d.Bins, i, Bin{From: from, To: to})
	}
	d.Bins[i].Count++
}

// addLength counts in bins of powers of two: 0, 1, 2 to 3, 4 to 7 and so on.
func addLength(to **Distribution, n int) {
	if *to == nil {
		*to = &Distribution{}
	}
	from := 0.0
	if n > 0 {
		from = math.Exp2(math.Floor(math.Log2(float64(n))))
	}
	(*to).add(float64(n), from, max(2*from, 1))
}
