package kernel

import (
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
)

func TestVariants(t *testing.T) {
	f32, bf16 := gpu.F32, gpu.BF16
	for _, c := range []struct {
		types string
		in    []gpu.DType
		want  string
	}{
		{"PP", []gpu.DType{f32, f32}, "x_f32"},
		{"PFP", []gpu.DType{bf16, f32, bf16}, "x_bf16"},
		{"GP", []gpu.DType{bf16, bf16}, "x_bf16"},
		{"GP", []gpu.DType{f32, bf16}, "x_bf16_f32"},
		{"GP", []gpu.DType{f32, f32}, "x_f32"},
		{"FG", []gpu.DType{f32, bf16}, "x_bf16"},
		{"FG", []gpu.DType{f32, f32}, "x_f32"},
		{"GP", []gpu.DType{bf16, f32}, "x: no kernel for f32 with gradients of bf16"},
	} {
		f := &Family{Name: "x", types: c.types, variants: map[Storage]*gpu.Kernel{}}
		got := ""
		for _, s := range Storages {
			f.variants[s] = &gpu.Kernel{Name: "x" + s.Suffix(), Access: make([]gpu.Access, len(c.in)),
				DTypes: s.DTypes(c.types), Host: func(gpu.Args) { got = "x" + s.Suffix() }}
		}
		d := gpu.NewHost()
		var tensors []gpu.Tensor
		for _, dtype := range c.in {
			tensors = append(tensors, gputest.TensorOf(t, d, dtype, "t", nil, 8))
		}
		p := d.Begin("variants")
		f.Run(p, gpu.Call{Groups: [3]int{1, 1, 1}, Tensors: tensors})
		if err := p.End(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s of %v runs %q, want %q", c.types, c.in, got, c.want)
		}
	}
}
