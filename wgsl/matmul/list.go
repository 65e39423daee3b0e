package matmul

import (
	"cmp"
	"embed"
	"slices"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

//go:embed *.wgsl *.wgsl.tmpl
var files embed.FS

// library holds this package's kernels, but for those that are made when they are first
// called.
var library = kernel.NewLibrary(files)

// Kernels lists the kernels that may run on a device with such limits: those made at
// the start, and the tiles that can be chosen.
func Kernels(l gpu.Limits) []*gpu.Kernel {
	list := library.Kernels()
	for _, v := range chosen(l) {
		list = append(list, v.kernel())
	}
	if l.CPU {
		return list
	}
	for _, t := range (LanesClass{Class{M: 8}}).list(l) {
		for _, x := range []gpu.DType{gpu.F32, gpu.BF16} {
			for _, residual := range []bool{false, true} {
				list = append(list, lanesVariant{t, dtypes{x, x, x}, residual}.kernel())
			}
		}
		list = append(list, lanesVariant{t, dtypes{gpu.F32, gpu.BF16, gpu.BF16}, false}.kernel())
	}
	return list
}

// chosen lists every tile that can be chosen, for operands of one type, and of one
// tile everything that a kernel of the family can be.
func chosen(l gpu.Limits) []variant {
	tiles := gpuTiles
	if l.CPU {
		tiles = cpuTiles
	}
	tiles = slices.DeleteFunc(slices.Clone(tiles), func(t tile) bool { return !t.fits(l) })
	both, types := []bool{false, true}, []gpu.DType{gpu.F32, gpu.BF16}
	var list []variant
	for _, transpose := range []string{"nn", "nt", "tn"} {
		for _, aligned := range both {
			for _, t := range tiles {
				for _, x := range types {
					list = append(list, variant{tile: t, Transpose: transpose, Types: dtypes{x, x, x},
						Aligned: aligned})
				}
			}
			for i := range 8 {
				v := variant{tile: tiles[0], Transpose: transpose, Types: dtypes{types[i/4], types[i/2%2], types[i%2]},
					Aligned: aligned}
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
	slices.SortFunc(list, func(a, b variant) int { return cmp.Compare(a.name(), b.name()) })
	return slices.Compact(list)
}

// Text is the text that all kernels of products are made of, of the templates.
func Text() string { return library.TemplateText("matmul") + library.TemplateText("matmul_lanes") }

// Preludes are what is put before it, in every choice of types and vectors.
func Preludes() string {
	text := ""
	for _, types := range []dtypes{{gpu.F32, gpu.F32, gpu.F32}, {gpu.BF16, gpu.BF16, gpu.BF16}} {
		for _, step := range []int{2, 4, 8} {
			text += variant{tile: tile{TM: 4, TN: 4, GX: 8, GY: 1, Step: step}, Transpose: "nt", Types: types}.prelude()
		}
	}
	return text
}
