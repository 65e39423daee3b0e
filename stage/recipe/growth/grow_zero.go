package growth

// growZero makes every new block a copy of the lower neighbour whose two last linears, that of attention
// and that of the feed-forward, are zero: it adds nothing to the residual stream, and the grown model's
// function is the old one's.
var growZero = operator{
	name: "zero", alone: "start as copies of it whose outputs are zero", origin: func(gap, _, _ int) Origin {
		return Origin{New: true, Below: gap, Above: gap, Silent: true}
	},
}
