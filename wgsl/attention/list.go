package attention

import (
	"embed"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

//go:embed *.wgsl.tmpl
var files embed.FS

// library holds the templates; all kernels are made when they are first called.
var library = kernel.NewLibrary(files)

// headSizes are those of the presets and of most other models.
var headSizes = []int{24, 32, 48, 64, 128}

// Kernels lists the kernels of the usual head sizes that may run on a device with such
// limits.
func Kernels(l gpu.Limits) []*gpu.Kernel {
	var list []*gpu.Kernel
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
		}
	}
	return list
}

// Text are the texts of kernels that between them hold what all are made of, but for what documents add.
func Text() string {
	text := ""
	for kind := range kinds {
		for _, x := range []head{{8, gpu.BF16}, {8, gpu.F32}} {
			text += variant{block{1, 8, 8, true}.of(kernelKind(kind)), x, kernelKind(kind), false}.source()
		}
	}
	return text
}
