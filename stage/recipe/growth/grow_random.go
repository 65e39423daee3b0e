package growth

// growRandom draws new blocks as initial weights are.
var growRandom = operator{
	name:  "random",
	alone: "are drawn as initial weights are",
	origin: func(gap, _, _ int) Origin {
		return Origin{New: true, Below: gap, Above: gap, Drawn: true}
	},
}
