package recipe

import "math"

// StatesBytes is the cost of a stage by its model states alone, for [Split]: a
// trained parameter takes trainable bytes and a frozen one frozen bytes (the
// paper's are 16 and 2), which may be fractions where several parameters share a
// scale. p is the number of parameters of one layer and e that of the adapters
// attached to one older layer, which train while the layer is frozen; fixed is
// the number of parameters that train in every stage: embeddings, head, final
// norm. With n new and N older layers that is
//
//	trainable (n p + N e + fixed) + frozen N p
//
// rounded up to a whole byte. No activations, nothing that is padded.
func StatesBytes(trainable, frozen float64, p, e, fixed int64) func(added, before int) int64 {
	return func(added, before int) int64 {
		n, old := int64(added), int64(before)
		// The conversions forbid fused multiply-adds, so that every machine counts alike.
		return int64(math.Ceil(float64(trainable*float64(n*p+old*e+fixed)) + float64(frozen*float64(old*p))))
	}
}
