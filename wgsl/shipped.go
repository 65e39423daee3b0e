package wgsl

import (
	"cmp"
	"slices"

	"steplm/gpu"
)

// headSizes are those of the presets and of most other models.
var headSizes = []int{24, 32, 48, 64, 128}

// Kernels lists the kernels that may run on a device with such limits, each once, in a
// fixed order: those made at the start, attention of the usual head sizes, and the
// tiles of matmuls that can be chosen. What must be known of all, such as that
// a compiler takes them, is found out from this list.
func Kernels(l gpu.Limits) []*gpu.Kernel {
	list := slices.Clone(all)
	for _, size := range headSizes {
		for _, dtype := range []gpu.DType{gpu.F32, gpu.BF16} {
			for kind := range attentionKinds {
				c := attentionClass{attentionKind(kind), dtype, AttentionShape{B: 1, T: 2048, H: 1, KV: 1, D: size}}
				for _, b := range c.blocks(l) {
					list = append(list, attentionVariant{b, c.head(), c.Kind}.kernel())
				}
			}
		}
	}
	for _, v := range chosenMatmuls(l) {
		list = append(list, v.kernel())
	}
	return list
}

// chosenMatmuls lists every tile that can be chosen, for operands of one type, and of one
// tile everything that a kernel of the family can be.
func chosenMatmuls(l gpu.Limits) []matmulVariant {
	tiles := gpuTiles
	if l.CPU {
		tiles = cpuTiles
	}
	tiles = slices.DeleteFunc(slices.Clone(tiles), func(t matmulTile) bool { return !t.fits(l) })
	both, types := []bool{false, true}, []gpu.DType{gpu.F32, gpu.BF16}
	var list []matmulVariant
	for _, transpose := range []string{"nn", "nt", "tn"} {
		for _, aligned := range both {
			for _, t := range tiles {
				for _, x := range types {
					list = append(list, matmulVariant{matmulTile: t, Transpose: transpose, Types: matmulTypes{x, x, x}, Aligned: aligned})
				}
			}
			for i := range 8 {
				v := matmulVariant{matmulTile: tiles[0], Transpose: transpose, Types: matmulTypes{types[i/4], types[i/2%2], types[i%2]}, Aligned: aligned}
				if transpose == "tn" {
					v.Split = true
					list = append(list, v)
				}
				for _, v.Residual = range both {
					for _, v.Second = range both {
						v.Split = false
						list = append(list, v)
					}
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b matmulVariant) int { return cmp.Compare(a.name(), b.name()) })
	return slices.Compact(list)
}
