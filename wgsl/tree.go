package wgsl

import "steplm/gpu"

// treeKernel declares a kernel of workgroups of 64 that calls the functions of
// tree.wgsl.
func treeKernel(name string, access []gpu.Access, host func(gpu.Args)) *gpu.Kernel {
	prelude, err := files.ReadFile("tree.wgsl")
	if err != nil {
		panic(err) // a mistake in this package
	}
	k := kernel(name, [3]int{64, 1, 1}, access, host)
	k.Source = string(prelude) + "\n" + k.Source
	k.Shared = 64 * 4
	return k
}
