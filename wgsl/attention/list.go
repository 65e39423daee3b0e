package attention

import (
	"embed"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

//go:embed *.wgsl *.wgsl.tmpl
var files embed.FS

// library holds this package's kernels, but for those that are made when they are first
// called.
var library = kernel.NewLibrary(files)

// headSizes are those of the presets and of most other models.
var headSizes = []int{24, 32, 48, 64, 128}

// Kernels lists the kernels of the usual head sizes that may run on a device with such
// limits.
func Kernels(l gpu.Limits) []*gpu.Kernel {
	list := library.Kernels()
	for _, size := range headSizes {
		for _, dtype := range []gpu.DType{gpu.F32, gpu.BF16} {
			for kind := range kinds {
				for _, documents := range []bool{false, true} {
					c := Class{kernelKind(kind), dtype,
						Shape{B: 1, T: 2048, H: 1, KV: 1, D: size, Documents: documents}}
					for _, b := range c.blocks(l) {
						list = append(list, c.kernel(b))
					}
				}
			}
			ways := []cachedWay{walk}
			if way := decodeWay(l, head{size, dtype}); way != walk {
				ways = append(ways, way)
			}
			for _, way := range ways {
				c := CachedClass{Way: way, DType: dtype, Rows: 1, H: 1, KV: 1, D: size}
				for _, b := range c.blocks(l) {
					list = append(list, cachedVariant{b, c.head(), c.Way}.kernel())
				}
			}
		}
	}
	return list
}

// Text are the texts of kernels that between them hold what all are made of, but for what documents add.
func Text() string {
	text := ""
	for way := range cachedWays {
		text += cachedVariant{cachedBlock{spreadLanes, false}, head{8, gpu.F32}, cachedWay(way)}.source()
	}
	for kind := range kinds {
		for _, x := range []head{{8, gpu.BF16}, {8, gpu.F32}} {
			text += variant{block{1, 8, 8, true}.of(kernelKind(kind)), x, kernelKind(kind), false}.source()
		}
	}
	return text
}
