package wgsl

import "steplm/gpu"

// treeKernel declares a kernel of workgroups of 64 that calls the functions of
// tree.wgsl.
func treeKernel(name string, access []gpu.Access, host func(gpu.Args)) *gpu.Kernel {
	return declare(&gpu.Kernel{Name: name, Source: text("tree") + "\n" + text(name), Workgroup: [3]int{64, 1, 1}, Shared: 64 * 4, Access: access, Host: host})
}
