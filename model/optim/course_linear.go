package optim

// Linear falls from its peak in a line. With p = (n-w)/(Steps-w), 1 - (1-MinRatio) p, and MinRatio from
// n = Steps on.
const Linear = "linear"

var linearCourse = kind{Linear, 0, plain, func(c Course, n, warmup int) float64 {
	if n >= c.Steps {
		return c.MinRatio
	}
	return c.down(1 - float64(n-warmup)/float64(c.Steps-warmup))
}}
