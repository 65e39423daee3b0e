package wgsl

import (
	"slices"

	"steplm/gpu"
)

// headSizes are those of the presets and of most other models.
var headSizes = []int{24, 32, 48, 64, 128}

// Kernels lists the kernels that may run on a device with such limits, each once, in a
// fixed order: those made at the start, attention of the usual head sizes, and the
// matmuls that are chosen for any shape. What must be known of all, such as that
// a compiler takes them, is found out from this list.
func Kernels(l gpu.Limits) []*gpu.Kernel {
	list := slices.Clone(all)
	for _, size := range headSizes {
		for _, dtype := range []gpu.DType{gpu.F32, gpu.BF16} {
			a := head{size, dtype}.kernels()
			list = append(list, a.forward, a.backwardQuery, a.backwardKeyValue)
		}
	}
	for _, v := range chosenMatmuls(l) {
		list = append(list, v.kernel())
	}
	return list
}

// chosenMatmuls lists what chooseMatmul picks for any types and for sizes on both
// sides of every power of two, which is where its choices part.
func chosenMatmuls(l gpu.Limits) []matmulVariant {
	var sizes []int
	for n := 1; n <= 4096; n *= 2 {
		sizes = append(sizes, n, n+1)
	}
	types := []gpu.DType{gpu.F32, gpu.BF16}
	var list []matmulVariant
	for _, transpose := range []string{"nn", "nt", "tn"} {
		for _, out := range types {
			for _, a := range types {
				for _, b := range types {
					for _, m := range sizes {
						for _, n := range sizes {
							v := chooseMatmul(l, transpose, matmulTypes{out, a, b}, MatmulShape{M: m, N: n, K: 4096})
							if !slices.Contains(list, v) {
								list = append(list, v)
							}
						}
					}
				}
			}
		}
	}
	return list
}
