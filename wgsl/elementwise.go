package wgsl

import (
	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

var mix = library.Typed("mix", [3]int{64, 1, 1}, []gpu.Access{w, r, r}, "PFF", func(a gpu.Args) {
	ref.Mix(a.F(0), a.F(1), a.F(2), a.Float(1), a.Float(2))
})

var widen = library.Typed("widen", [3]int{64, 1, 1}, []gpu.Access{w, r}, "FP", func(a gpu.Args) {
	ref.Widen(a.F(0), a.F(1))
})

var zero = func() *gpu.Kernel {
	k := library.Declare("zero", [3]int{64, 1, 1}, []gpu.Access{w}, func(a gpu.Args) { clear(a.U(0)) })
	k.DTypes = []gpu.DType{gpu.U32}
	return k
}()

// Mix sets out to wa * a + wb * b; a and b are F32 and may be one tensor, out is of
// their shape and F32 or BF16. With wb 0, b is not read, so its infinities do no
// harm; if then wa is 1, out is exactly a, rounded to its type.
func Mix(p *gpu.Pass, out, a, b gpu.Tensor, wa, wb float32) {
	mix.Flat(p, 12, []uint32{gpu.Param(wa), gpu.Param(wb)}, out, a, b)
}

// Widen sets out (F32) to exactly x (F32 or BF16), of the same shape.
func Widen(p *gpu.Pass, out, x gpu.Tensor) { widen.Flat(p, 8, nil, out, x) }

// Zero clears x, of any type and size.
func Zero(p *gpu.Pass, x gpu.Tensor) {
	if !kernel.Alike(p, zero.Name, x) {
		return
	}
	const step = 64 // words: views begin at multiples of 256 bytes
	most := max(step, int(p.Limits().Binding/4)/step*step)
	s := x.Spec
	s.DType = gpu.U32
	for at := 0; at < x.Words(); at += most {
		s.Shape = []int{min(most, x.Words()-at)}
		n := s.Words()
		p.Run(gpu.Call{Kernel: zero, Groups: kernel.Groups1(n, 64), Params: p.Params(uint32(n)),
			Tensors: p.Tensors(x.As(s, at)), Work: kernel.Traffic(4, n)})
	}
}
