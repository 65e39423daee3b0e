package growth

// StackOperator copies the whole stack above itself, as G_stack does: block i of the grown model is
// block i mod n of the old one's n, of which the first n are the old ones themselves.
const StackOperator = "stack"

var growStack = operator{name: StackOperator, whole: func(before, after int) []Origin {
	origins := make([]Origin, after)
	for i := range origins {
		origins[i] = Origin{New: i >= before, Below: i % before, Above: i % before}
	}
	return origins
}}
