package attention

// Slide narrows bounds, as Bounds makes them of b sequences of t positions, to a sliding window: a query attends to at
// most so many keys, its own the last. Kernels then skip the keys before it, and a key's queries behind it.
func Slide(bounds []float32, b, t, window int) {
	for i := range b * t {
		at := i % t
		bounds[i] = max(bounds[i], float32(at-window+1))
		bounds[b*t+i] = min(bounds[b*t+i], float32(at+window))
	}
}
