package kernel

import (
	_ "embed" // of the text below
	"fmt"

	"steplm/gpu"
)

// TreeText is tree.wgsl: functions with which the 64 invocations of a workgroup add up what each has.
//
//go:embed tree.wgsl
var TreeText string

// Tree declares a kernel of workgroups of 64 that calls the functions of tree.wgsl.
func (l *Library) Tree(name string, access []gpu.Access, host func(gpu.Args)) *gpu.Kernel {
	return l.Add(&gpu.Kernel{Name: name, Source: TreeText + "\n" + l.Text(name),
		Workgroup: [3]int{64, 1, 1}, Shared: 64 * 4, Access: access, Host: host})
}

// TypedTree declares such kernels for every storage type; types has a letter for each binding.
func (l *Library) TypedTree(name string, access []gpu.Access, types string, host func(gpu.Args)) *Family {
	return l.TypedWith(name, [3]int{64, 1, 1}, access, types, TreeText+"\n", 64*4, host)
}

// OneWorkgroup records a kernel whose single workgroup of 64 walks the first n elements of list.
func OneWorkgroup(p *gpu.Pass, k *gpu.Kernel, n int, params []uint32, out, list gpu.Tensor) {
	if !FitsWorkgroup(p, k.Name, "elements", n, 64, 1) {
		return
	}
	if len(list.Shape) > 0 && n > list.Cols() {
		p.Fail(fmt.Errorf("%s: %d elements of tensor %s, which has %d", k.Name, n, list.Name, list.Cols()))
		return
	}
	p.Run(gpu.Call{Kernel: k, Groups: [3]int{1, 1, 1}, Params: params, Tensors: p.Tensors(out, list),
		Work: Traffic(4, n)})
}
