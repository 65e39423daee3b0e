package wgsl

import (
	"steplm/gpu"
	"steplm/wgsl/ref"
)

var add = kernel("add", [3]int{64, 1, 1}, []gpu.Access{w, r}, func(a gpu.Args) {
	ref.Add(a.F(0), a.F(1), a.Int(0))
})

var mix = kernel("mix", [3]int{64, 1, 1}, []gpu.Access{w, r, r}, func(a gpu.Args) {
	ref.Mix(a.F(0), a.F(1), a.F(2), a.Float(1), a.Float(2), a.Int(0))
})

var fill = kernel("fill", [3]int{64, 1, 1}, []gpu.Access{w}, func(a gpu.Args) {
	ref.Fill(a.F(0), a.Float(1), a.Int(0))
})

// Add adds n elements of x to out.
func Add(p *gpu.Pass, out, x gpu.Tensor, n int) {
	p.Run(gpu.Call{Kernel: add, Groups: groups1(n, 64), Params: []uint32{uint32(n)}, Tensors: []gpu.Tensor{out, x}, Work: traffic(12, n)})
}

// Mix sets n elements of out to wa * a + wb * b. With wb 0, b is not read, so its
// infinities do no harm; if then wa is 1, out is a bit for bit. a and b may be
// one tensor.
func Mix(p *gpu.Pass, out, a, b gpu.Tensor, wa, wb float32, n int) {
	p.Run(gpu.Call{Kernel: mix, Groups: groups1(n, 64), Params: []uint32{uint32(n), gpu.Param(wa), gpu.Param(wb)},
		Tensors: []gpu.Tensor{out, a, b}, Work: traffic(12, n)})
}

// Fill sets n elements of out to value.
func Fill(p *gpu.Pass, out gpu.Tensor, value float32, n int) {
	p.Run(gpu.Call{Kernel: fill, Groups: groups1(n, 64), Params: []uint32{uint32(n), gpu.Param(value)}, Tensors: []gpu.Tensor{out}, Work: traffic(4, n)})
}
