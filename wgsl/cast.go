package wgsl

import (
	"steplm/gpu"
	"steplm/wgsl/ref"
)

var castToBF16 = kernel("cast_to_bf16", [3]int{64, 1, 1}, []gpu.Access{w, r}, func(a gpu.Args) {
	ref.CastToBF16(a.U(0), a.F(1), a.Int(0))
})

var castFromBF16 = kernel("cast_from_bf16", [3]int{64, 1, 1}, []gpu.Access{w, r}, func(a gpu.Args) {
	ref.CastFromBF16(a.F(0), a.U(1), a.Int(0))
})

// CastToBF16 rounds n elements of x (F32) to the nearest of out (BF16), ties to
// even. With n odd, the last word's upper half is 0.
func CastToBF16(p *gpu.Pass, out, x gpu.Tensor, n int) {
	p.Run(gpu.Call{Kernel: castToBF16, Groups: groups1(n, 128), Params: []uint32{uint32(n)}, Tensors: []gpu.Tensor{out, x}, Work: traffic(6, n)})
}

// CastFromBF16 sets n elements of out (F32) to those of x (BF16), exactly.
func CastFromBF16(p *gpu.Pass, out, x gpu.Tensor, n int) {
	p.Run(gpu.Call{Kernel: castFromBF16, Groups: groups1(n, 128), Params: []uint32{uint32(n)}, Tensors: []gpu.Tensor{out, x}, Work: traffic(6, n)})
}
