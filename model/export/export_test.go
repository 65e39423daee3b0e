package export

// What tests see of the package's inside.

// EncodeRow is a row as GGUF files have it.
func EncodeRow(t DType, values []float32) ([]byte, error) { return ggufKinds[t].encode(nil, values) }
