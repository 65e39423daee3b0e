// Package update is the kernels that turn gradients into new weights: AdamW in every way that a weight's states are
// kept, momentum, products of factors, projections and orthogonal steps, and rounding at random. It exists besides
// package wgsl, which has what a forward and a backward pass need, because only optimizers call these, and their
// number grows with every optimizer. Rules that they make up are in model/optim; plain Go twins in wgsl/update/ref.
//
// What Go cannot enforce: that a kernel writes nothing when stats[StatNorm] is not finite, so that a step with an
// infinite gradient changes no weight and no state; that padding stays zero, as kernels go over the storage as it
// lies; and that what is drawn at random follows from a Draw and the element's place alone, so that a run repeats.
package update

import (
	"embed"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

//go:embed *.wgsl *.wgsl.tmpl
var files embed.FS

// library holds this package's kernels.
var library = kernel.NewLibrary(files)

// Kernels lists them, each once, in a fixed order.
func Kernels() []*gpu.Kernel { return library.Kernels() }

const (
	r = gpu.Read
	w = gpu.Write
)
