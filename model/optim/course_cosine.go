package optim

import "math"

// Cosine falls from its peak along half a cosine. With p = (n-w)/(Steps-w),
//
//	MinRatio + (1-MinRatio) (1 + cos(pi p))/2
//
// and MinRatio from n = Steps on.
const Cosine = "cosine"

var cosineCourse = kind{Cosine, 0.1, plain, func(c Course, n, warmup int) float64 {
	if n >= c.Steps {
		return c.MinRatio
	}
	p := float64(n-warmup) / float64(c.Steps-warmup)
	return c.MinRatio + (1-c.MinRatio)*(1+math.Cos(math.Pi*p))/2
}}
