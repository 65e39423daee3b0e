package growth

// growCopyUpper makes every new block of a gap a copy of the upper neighbour.
var growCopyUpper = operator{name: "copy_upper", alone: startsAsCopies, origin: func(gap, _, _ int) Origin {
	return Origin{New: true, Below: gap + 1, Above: gap + 1}
}}
