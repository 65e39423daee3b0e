package wgsl

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

// QuantizeGroup is the elements of a row that share a scale.
const QuantizeGroup = ref.QuantizeGroup

var quantize = func() *gpu.Kernel {
	k := library.Declare("quantize", [3]int{64, 1, 1}, []gpu.Access{w, w, r}, func(a gpu.Args) {
		x, cols := a.F(2), a.Int(1)
		q := make([]int8, len(x))
		ref.Quantize(q, a.F(1), x, len(x)/cols, cols)
		packBytes(a.U(0), q, cols)
	})
	k.DTypes = []gpu.DType{gpu.I8, gpu.F32, gpu.F32}
	return k
}()

var dequantize = library.Typed("dequantize", [3]int{64, 1, 1}, []gpu.Access{w, r, r}, "PIF", func(a gpu.Args) {
	out, cols := a.F(0), a.Int(1)
	q := make([]int8, len(out))
	unpackBytes(q, a.U(1), cols)
	ref.Dequantize(out, q, a.F(2), len(out)/cols, cols)
})

// Quantize sets q (rows, C; I8) and scales (rows, ceil(C/64)) to x (rows, C; F32):
// each group of 64 along a row becomes integers from -127 to 127, rounded half away
// from zero, times its largest magnitude / 127, to 16 significant bits. Every
// device gives the same bits, and quantizing them again what Dequantize makes
// of them in F32 leaves them as they are. A group of zeros has scale 0; one with
// an infinity or NaN has scale NaN.
func Quantize(p *gpu.Pass, q, scales, x gpu.Tensor) {
	if !quantized(p, quantize.Name, q, scales, x) {
		return
	}
	eachQuantized(p, quantize.Name, q, scales, x, func(q, scales, x gpu.Tensor) {
		n := scales.Words()
		p.Run(gpu.Call{Kernel: quantize, Groups: kernel.Groups1(n, 64),
			Params:  p.Params(uint32(n), uint32(x.Cols()), uint32(x.Stride()/4), uint32(scales.Stride())),
			Tensors: p.Tensors(q, scales, x), Work: kernel.Traffic(9, x.Elements())})
	})
}

// Dequantize sets out (rows, C; F32 or BF16) to what q (rows, C; I8) and scales
// (rows, ceil(C/64)) stand for: exactly in F32, rounded to nearest, ties to even,
// in BF16. A group whose scale is NaN is NaN throughout.
func Dequantize(p *gpu.Pass, out, q, scales gpu.Tensor) {
	if !quantized(p, dequantize.Name, q, scales, out) {
		return
	}
	eachQuantized(p, dequantize.Name, q, scales, out, func(q, scales, out gpu.Tensor) {
		n := out.Rows() * kernel.EightStride(out)
		dequantize.Run(p, gpu.Call{Groups: kernel.Groups1(n, 64),
			Params:  p.Params(uint32(n), uint32(out.Cols()), uint32(kernel.EightStride(out)), uint32(scales.Stride())),
			Tensors: p.Tensors(out, q, scales), Work: kernel.Traffic(5, out.Elements())})
	})
}

// quantized fails the pass unless q and scales are of x's shape.
func quantized(p *gpu.Pass, name string, q, scales, x gpu.Tensor) bool {
	return kernel.Alike(p, name, x, q) && kernel.Shaped(p, name, scales, x.Rows(), gpu.Groups(x.Cols(), QuantizeGroup))
}

// eachQuantized calls do with q, scales and x, or with parts of their rows, the same
// of each, where the device does not bind as much at once.
func eachQuantized(p *gpu.Pass, name string, q, scales, x gpu.Tensor, do func(q, scales, x gpu.Tensor)) {
	limit := p.Limits().Binding
	widest := x // but of rows so narrow that 8 scales take more
	if scales.Bytes() > x.Bytes() {
		widest = scales
	}
	if widest.Bytes() <= limit {
		do(q, scales, x)
		return
	}
	const step = 32 // padded rows are multiples of 8 bytes, views begin at multiples of 256
	row := widest.Bytes() / int64(widest.Rows())
	most := int(limit/(step*row)) * step
	if most == 0 {
		p.Fail(fmt.Errorf("%s: the device binds %d bytes, too few for %d rows of tensor %s (%d bytes each)", name,
			limit, step, widest.Name, row))
		return
	}
	for first := 0; first < x.Rows(); first += most {
		n := min(most, x.Rows()-first)
		do(q.Part(first, n), scales.Part(first, n), x.Part(first, n))
	}
}

// packBytes puts rows of cols int8 into words, four to each, with the padding of
// tensors.
func packBytes(words []uint32, q []int8, cols int) {
	clear(words)
	stride := gpu.Padded(cols)
	for i, b := range q {
		at := i/cols*stride + i%cols
		words[at/4] |= uint32(uint8(b)) << (at % 4 * 8)
	}
}

// unpackBytes is packBytes's inverse.
func unpackBytes(q []int8, words []uint32, cols int) {
	stride := gpu.Padded(cols)
	for i := range q {
		at := i/cols*stride + i%cols
		q[i] = int8(words[at/4] >> (at % 4 * 8))
	}
}
