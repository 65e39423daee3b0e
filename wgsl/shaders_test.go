package wgsl

import (
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
)

// TestShaders compiles every declared kernel through the binding, whose compiler
// is older and refuses more than any command-line tool. A kernel that is
// recorded with params of zeros covers no elements and must do no harm.
func TestShaders(t *testing.T) {
	d := gputest.Adapter(t)
	var tensors []gpu.Tensor
	for range gpu.MaxStorage {
		tensors = append(tensors, gputest.Tensor(t, d, "x", nil, 1024))
	}
	for _, k := range all {
		t.Run(k.Name, func(t *testing.T) {
			run(t, d, func(p *gpu.Pass) {
				p.Run(gpu.Call{Kernel: k, Groups: [3]int{1, 1, 1}, Params: make([]uint32, 16), Tensors: tensors[:len(k.Access)]})
			})
		})
	}
}
