package wgsl

import (
	"fmt"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
)

// TestShaders compiles every kernel through the binding, the matmul family in
// every variant that some device is given, whatever else the tests use. Sizes
// of zero make each of them do nothing.
func TestShaders(t *testing.T) {
	d := gputest.Adapter(t)
	kernels := slices.Clone(all)
	gpuLimits, cpuLimits := gpu.Limits{Shared: true, Invocations: 256, WorkgroupMemory: 16384}, gpu.Limits{CPU: true}
	for _, transpose := range []string{"nn", "nt", "tn"} {
		for _, m := range []int{1, 8, 16, 32} {
			for _, n := range []int{1, 8, 16, 32} {
				for _, l := range []gpu.Limits{gpuLimits, cpuLimits} {
					if k := chooseMatmul(l, transpose, MatmulShape{M: m, N: n, K: 1}).kernel(); !slices.Contains(kernels, k) {
						kernels = append(kernels, k)
					}
				}
			}
		}
	}
	for _, k := range kernels {
		t.Run(k.Name, func(t *testing.T) {
			c := gpu.Call{Kernel: k, Groups: [3]int{1, 1, 1}}
			for i := range k.Access {
				c.Tensors = append(c.Tensors, gputest.Tensor(t, d, fmt.Sprintf("binding%d", i), nil, 64))
			}
			run(t, d, func(p *gpu.Pass) { p.Run(c) })
		})
	}
}
