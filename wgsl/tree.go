package wgsl

import (
	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

// treeKernel declares a kernel of workgroups of 64 that calls the functions of
// tree.wgsl.
func treeKernel(name string, access []gpu.Access, host func(gpu.Args)) *gpu.Kernel {
	return library.Add(&gpu.Kernel{Name: name, Source: library.Text("tree") + "\n" + library.Text(name),
		Workgroup: [3]int{64, 1, 1}, Shared: 64 * 4, Access: access, Host: host})
}

// typedTree declares such kernels for every storage type; types has a letter for each
// binding.
func typedTree(name string, access []gpu.Access, types string, host func(gpu.Args)) *kernel.Family {
	return library.TypedWith(name, [3]int{64, 1, 1}, access, types, library.Text("tree")+"\n", 64*4, host)
}
