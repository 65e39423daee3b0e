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
	"fmt"
	"strings"
	"text/template"

	"steplm/gpu"
)

//go:embed *.wgsl *.wgsl.tmpl
var files embed.FS

// all lists every kernel that was declared: a part of Kernels.
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

// fill is the template of file name.wgsl.tmpl with what it asks for.
func fill(name string, data any) string {
	tmpl, err := template.ParseFS(files, name+".wgsl.tmpl")
	var src strings.Builder
	if err == nil {
		err = tmpl.Execute(&src, data)
	}
	if err != nil {
		panic(fmt.Sprintf("kernel %s: %v", name, err)) // a mistake in this package
	}
	return src.String()
}

func declare(k *gpu.Kernel) *gpu.Kernel {
	all = append(all, k)
	return k
}

// maxLoop is the most iterations that one invocation may make, in all its loops
// together.
const maxLoop = 65535

// maxWalk is the most iterations of the loops in which a kernel walks what is long. The
// rest is for the short ones, such as those of tree.wgsl, and for the iteration in
// which a loop ends, which counts too.
const maxWalk = maxLoop - 35

// fitsWorkgroup fails the pass when so many lanes cannot walk n elements (of what they
// are called) in each of loops loops.
func fitsWorkgroup(p *gpu.Pass, name, elements string, n, lanes, loops int) bool {
	if most := maxWalk / loops * lanes; n > most {
		p.Fail(fmt.Errorf("%s: %d %s, at most %d", name, n, elements, most))
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
