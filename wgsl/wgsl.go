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
// kernel is compared with its twin), and that no invocation loops 65,535 times
// (old Mesa silently ends the loop; the functions split or refuse such calls).
package wgsl

import (
	"embed"
	"fmt"

	"steplm/gpu"
)

//go:embed *.wgsl *.wgsl.tmpl
var files embed.FS

// all lists every kernel that was declared, for the tests that look at all.
var all []*gpu.Kernel

// kernel declares the kernel of file name.wgsl; workgroup must equal the
// literal in the file.
func kernel(name string, workgroup [3]int, access []gpu.Access, host func(gpu.Args)) *gpu.Kernel {
	return declare(&gpu.Kernel{Name: name, Source: text(name), Workgroup: workgroup, Access: access, Host: host})
}

// text is file name.wgsl.
func text(name string) string {
	src, err := files.ReadFile(name + ".wgsl")
	if err != nil {
		panic(fmt.Sprintf("kernel %s: %v", name, err)) // a mistake in this package
	}
	return string(src)
}

func declare(k *gpu.Kernel) *gpu.Kernel {
	all = append(all, k)
	return k
}

// maxLoop is the most iterations that one invocation may make.
const maxLoop = 65535

// fitsWorkgroup fails the pass when a workgroup of 64 cannot walk n elements
// within maxLoop.
func fitsWorkgroup(p *gpu.Pass, k *gpu.Kernel, n int) bool {
	if n > 64*maxLoop {
		p.Fail(fmt.Errorf("%s: %d elements, at most %d", k.Name, n, 64*maxLoop))
		return false
	}
	return true
}

// traffic is the Work of a kernel that memory bounds and that moves so many bytes
// for each of n elements. At the tenth of their peak that budgets reckon with,
// GPUs from the slowest to the fastest make 2 to 4 operations in the time of a
// byte.
func traffic(bytes, n int) float64 { return 2 * float64(bytes) * float64(n) }

const (
	r = gpu.Read
	w = gpu.Write
)
