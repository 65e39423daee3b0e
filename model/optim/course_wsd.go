package optim

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// WSD is warm-up, stable, decay: it stays at its peak until its last Decay steps, in which it falls to
// MinRatio. With p = (n - (Steps-Decay))/Decay,
//
//	MinRatio + (1-MinRatio) x,    x = 1-p, 1-sqrt(p) or (1 + cos(pi p))/2 by Shape
//
// and MinRatio from n = Steps on. What precedes the decay can be extended: a longer run has the same rates up
// to there.
const WSD = "wsd"

// shapes are how WSD decays, by name.
var shapes = []struct {
	name string
	at   func(p float64) float64
}{
	{"linear", func(p float64) float64 { return 1 - p }},
	{"1-sqrt", func(p float64) float64 { return 1 - math.Sqrt(p) }},
	{"cosine", halfCosine},
}

// Shapes are the names of WSD's decays, the default first.
func Shapes() (names []string) {
	for _, s := range shapes {
		names = append(names, s.name)
	}
	return names
}

// Stable is the steps before a WSD's decay begins; of any other course, all.
func (c Course) Stable() int { return c.Steps - c.Decay }

var wsdCourse = kind{WSD, 0, ownOfWSD, func(c Course, n, _ int) float64 {
	switch stable := c.Steps - c.Decay; {
	case n < stable:
		return 1
	case n >= c.Steps:
		return c.MinRatio
	default:
		i := slices.Index(Shapes(), c.Shape)
		return c.down(shapes[i].at(float64(n-stable) / float64(c.Decay)))
	}
}}

func ownOfWSD(c Course) (Course, error) {
	switch {
	case c.Decay < 1 || c.Decay > c.Steps:
		return c, fmt.Errorf("learning-rate decay over %d of the %d steps of a %s schedule: it must be over 1 to %d",
			c.Decay, c.Steps, WSD, c.Steps)
	case !slices.Contains(Shapes(), c.Shape):
		return c, fmt.Errorf("learning-rate decay %q: choose one of %s", c.Shape, strings.Join(Shapes(), ", "))
	}
	c.Decay, c.Shape = 0, ""
	return c, nil
}
