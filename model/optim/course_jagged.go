package optim

import "fmt"

// Jagged is ReLoRA's cosine with restarts (Lialin et al., 2023, and their program): every Every steps the rate
// begins at 0 again and rises over Rewarm steps to where the cosine of the whole course then is. With
// cosm(p) = MinRatio + (1-MinRatio) (1 + cos(pi p))/2 and s = n + Shift,
//
//	n < First                          n / First
//	s mod Every < Rewarm, n >= Every   (s mod Every)/Rewarm cosm((s - s mod Every + Rewarm - First)/(Steps - First))
//	otherwise                          cosm((s - First)/(Steps - First))
//
// and MinRatio from n = Steps on. It has warm-ups of its own, in which the first step has rate 0.
const Jagged = "jagged_cosine"

var jaggedCourse = kind{Jagged, 0.1, ownOfJagged, func(c Course, n, _ int) float64 {
	s := n + c.Shift
	cosm := func(at int) float64 { return c.down(halfCosine(float64(at-c.First) / float64(c.Steps-c.First))) }
	switch {
	case n < c.First:
		return float64(n) / float64(c.First)
	case n >= c.Steps:
		return c.MinRatio
	case n >= c.Every && s%c.Every < c.Rewarm:
		return float64(s%c.Every) / float64(c.Rewarm) * cosm(s/c.Every*c.Every+c.Rewarm)
	}
	return cosm(s)
}}

func ownOfJagged(c Course) (Course, error) {
	switch {
	case c.Every < 1:
		return c, fmt.Errorf("restarts of the learning rate every %d steps: it must be 1 or more", c.Every)
	case c.Rewarm < 0 || c.Rewarm > c.Every:
		return c, fmt.Errorf("learning-rate warm-up of %d steps after restarts every %d: it must be between 0 and %d",
			c.Rewarm, c.Every, c.Every)
	case c.Shift < 0 || c.First < 0 || c.First+c.Shift > c.Every || c.First >= c.Steps:
		return c, fmt.Errorf("learning-rate warm-up of %d steps, shifted by %d, in a schedule of %d steps with "+
			"restarts every %d: it must end before both", c.First, c.Shift, c.Steps, c.Every)
	}
	c.First, c.Every, c.Rewarm, c.Shift = 0, 0, 0, 0
	return c, nil
}
