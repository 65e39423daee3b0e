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
	made := map[gpu.DType][]gpu.Tensor{} // one for each binding that may need one
	for _, dtype := range []gpu.DType{gpu.F32, gpu.U32, gpu.BF16, gpu.I8} {
		for range gpu.MaxStorage {
			x, err := d.New(gpu.Spec{Name: dtype.String(), Class: gpu.Scratch, DType: dtype, Shape: []int{1024}})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Free(x)
			made[dtype] = append(made[dtype], x)
		}
	}
	for _, k := range gputest.Sample(all) {
		var tensors []gpu.Tensor
		for i := range k.Access {
			dtype := gpu.F32
			if k.DTypes != nil {
				dtype = k.DTypes[i]
			}
			tensors = append(tensors, made[dtype][i])
		}
		t.Run(k.Name, func(t *testing.T) {
			run(t, d, func(p *gpu.Pass) {
				p.Run(gpu.Call{Kernel: k, Groups: [3]int{1, 1, 1}, Params: make([]uint32, 16), Tensors: tensors})
			})
		})
	}
}
