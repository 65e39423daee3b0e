package growth

// growMean interpolates linearly between the two neighbours: the j-th of m new
// blocks takes (1 - j/(m+1)) of the lower and j/(m+1) of the upper one. For one block per
// gap this is the mean, Interpolation-Mean of the STEP paper.
var growMean = operator{name: "mean", mixes: true, alone: startsAsCopies, origin: func(gap, j, m int) Origin {
	return Origin{New: true, Below: gap, Above: gap + 1, Weight: float64(j) / float64(m+1)}
}}
