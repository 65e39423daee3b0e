// Package wgsl is the kernel library: .wgsl files as they run (and .wgsl.tmpl,
// templates, where sizes must be literals), each with a Go file that declares its
// bindings and a typed function that records the call, and a plain Go twin in
// wgsl/ref.
//
// Legend: B batch, T positions, C hidden size, H query heads, K key-value
// heads, D head size, F feed-forward size, V vocabulary, R rank; rows = B T.
// All matrices are row-major.
//
// What Go cannot enforce: that a .wgsl file's bindings and params stand in the
// order that its Go file gives them (a test compares the counts, and every
// kernel is compared with its twin), and that no invocation makes more than 65,535
// iterations, those of all its loops together, nested ones too: old Mesa silently ends
// them there. The functions split or refuse such calls; kernels with tiles in
// workgroup memory may make more, and are not chosen on CPUs.
package wgsl

import (
	"embed"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

//go:embed *.wgsl *.wgsl.tmpl
var files embed.FS

// library holds this package's kernels.
var library = kernel.NewLibrary(files)

const (
	r = gpu.Read
	w = gpu.Write
)
