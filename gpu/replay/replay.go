// Package replay times single calls of a training step on a device, without the model that they came from.
package replay

import (
	"fmt"

	"steplm/gpu"
)

// Replay runs calls that a dry device recorded on tensors of its own, so that they can
// be timed by themselves. Calls share tensors of one shape. Only kernels for which
// any floats will do, such as products and attention, can be replayed.
type Replay struct {
	dev     gpu.Device
	tensors map[string][]gpu.Tensor
}

// NewReplay makes one that has no tensors yet.
func NewReplay(d gpu.Device) *Replay { return &Replay{dev: d, tensors: map[string][]gpu.Tensor{}} }

// Call is the same call on the replay's tensors, none of them bound twice.
func (r *Replay) Call(c gpu.Call) (gpu.Call, error) {
	taken := map[string]int{}
	own := make([]gpu.Tensor, len(c.Tensors))
	for i, t := range c.Tensors {
		if t.DType != gpu.F32 && t.DType != gpu.BF16 {
			return c, fmt.Errorf("replay kernel %s: tensor %s is %s, only floats can be made up", c.Kernel.Name, t.Name,
				t.DType)
		}
		key := fmt.Sprint(t.DType, t.Shape)
		n := taken[key]
		taken[key]++
		if n == len(r.tensors[key]) {
			x, err := r.new(t.Spec, uint64(n))
			if err != nil {
				return c, err
			}
			r.tensors[key] = append(r.tensors[key], x)
		}
		own[i] = r.tensors[key][n]
	}
	c.Tensors = own
	return c, nil
}

// new makes a tensor of values from -0.5 to 0.5, none of them denormal, which some
// devices take longer over.
func (r *Replay) new(s gpu.Spec, seed uint64) (gpu.Tensor, error) {
	s.Name, s.Class = "replay."+s.Name, gpu.Scratch
	t, err := r.dev.New(s)
	if err != nil {
		return t, err
	}
	values := make([]float32, s.Elements())
	for i := range values {
		seed = seed*6364136223846793005 + 1442695040888963407
		values[i] = float32(seed>>40)/(1<<24) - 0.5
	}
	if err := gpu.WriteF32(r.dev, t, values); err != nil {
		r.dev.Free(t)
		return t, err
	}
	return t, nil
}

// Free releases the tensors.
func (r *Replay) Free() {
	for _, list := range r.tensors {
		for _, t := range list {
			r.dev.Free(t)
		}
	}
	clear(r.tensors)
}
