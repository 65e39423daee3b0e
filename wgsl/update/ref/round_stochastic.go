package ref

// RoundStochastic rounds values to bfloat16 at random, two to a word of out, so that on average nothing is
// lost; first is the number of the first eight of them.
func RoundStochastic(out []uint32, values []float32, first int, d Draw) {
	storeStochastic(out, values, first, d)
}
