package growth

// growCopy makes every new block of a gap a copy of the lower neighbour.
var growCopy = operator{name: "copy", alone: startsAsCopies, origin: func(gap, _, _ int) Origin {
	return Origin{New: true, Below: gap, Above: gap}
}}
