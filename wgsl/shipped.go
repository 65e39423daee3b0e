package wgsl

import (
	"slices"

	"steplm/gpu"
	"steplm/wgsl/attention"
	"steplm/wgsl/matmul"
)

// Kernels lists the kernels that may run on a device with such limits, each once, in a
// fixed order: those made at the start, attention of the usual head sizes, and the
// tiles of matmuls that can be chosen. What must be known of all, such as that
// a compiler takes them, is found out from this list.
func Kernels(l gpu.Limits) []*gpu.Kernel {
	return slices.Concat(library.Kernels(), attention.Kernels(l), matmul.Kernels(l))
}
