package wgsl

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/ref"
)

// AdamW is the numbers of one AdamW step.
type AdamW = ref.AdamW

// The kernels of AdamW differ in what they keep of a parameter besides its weight
// and gradient. They go over the storage as it lies, padding included, which stays
// zero: a zero weight with zero gradient and moments remains one.

var adamwF32 = adamw("adamw_f32", "", storages[:1], []gpu.Access{w, w, w, r, r}, "PFFGF", func(a gpu.Args) {
	ref.AdamWF32(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4), adamwArgs(a))
})

var adamwPaper = adamw("adamw_paper", "", storages[1:], []gpu.Access{w, w, w, w, r, r}, "PFFFGF", func(a gpu.Args) {
	ref.AdamWPaper(a.U(0), a.F(1), a.F(2), a.F(3), a.F(4), a.F(5), adamwArgs(a))
})

var adamwSplit = adamw("adamw_split", "", storages[1:], []gpu.Access{w, w, w, w, r, r}, "PUFFGF", func(a gpu.Args) {
	ref.AdamWSplit(a.U(0), a.U(1), a.F(2), a.F(3), a.F(4), a.F(5), adamwArgs(a))
})

// adamw declares the kernels of file name.wgsl for the given storage types.
func adamw(name, prelude string, list []storage, access []gpu.Access, types string, host func(gpu.Args)) *family {
	f := &family{name: name, types: types, variants: map[storage]*gpu.Kernel{}}
	for _, s := range list {
		f.variants[s] = declare(&gpu.Kernel{
			Name: name + s.suffix(), Entry: name, Source: s.prelude() + text("adamw") + "\n" + prelude + text(name),
			Workgroup: [3]int{64, 1, 1}, Access: access, DTypes: s.dtypes(types), Host: host,
		})
	}
	return f
}

// adamwParams are the params after the number of pairs; adamwArgs reads them.
func adamwParams(o AdamW) []uint32 {
	var params []uint32
	for _, f := range []float32{o.LR, o.Beta1, o.Beta2, o.Eps, o.Decay, o.Correction1, o.Correction2} {
		params = append(params, gpu.Param(f))
	}
	return params
}

func adamwArgs(a gpu.Args) AdamW {
	return AdamW{LR: a.Float(1), Beta1: a.Float(2), Beta2: a.Float(3), Eps: a.Float(4), Decay: a.Float(5), Correction1: a.Float(6), Correction2: a.Float(7)}
}

// AdamWF32 updates weight and its moments m and v, F32 of one shape, from grad (F32)
// times stats[StatScale]. Like the others it writes nothing when stats[StatNorm] is
// not finite, and takes tensors of any size.
func AdamWF32(p *gpu.Pass, weight, m, v, grad, stats gpu.Tensor, o AdamW) {
	adamwF32.update(p, 1, stats, o, floats(weight), floats(m), floats(v), floats(grad))
}

// AdamWPaper updates a weight (BF16) that has an F32 master and moments of its
// shape, from grad (BF16 or F32): weight is master rounded as SplitBits does.
func AdamWPaper(p *gpu.Pass, weight, master, m, v, grad, stats gpu.Tensor, o AdamW) {
	adamwPaper.update(p, 1, stats, o, floats(weight), floats(master), floats(m), floats(v), floats(grad))
}

// AdamWSplit is AdamWPaper, bit for bit, without a master: low (U32, as many words as
// weight) holds what SplitBits leaves of it, laid out like the weight.
func AdamWSplit(p *gpu.Pass, weight, low, m, v, grad, stats gpu.Tensor, o AdamW) {
	adamwSplit.update(p, 1, stats, o, floats(weight), plane{low, 16, gpu.RowPadding}, floats(m), floats(v), floats(grad))
}

// SplitBits is an f32 master as the bfloat16 next to it, ties away from zero, which is
// the working weight, and the rest of its bits; NaNs stay NaNs.
func SplitBits(f float32) (hi uint16, lo int16) { return ref.SplitBits(f) }

// JoinBits is SplitBits's inverse, exact for every value but NaNs.
func JoinBits(hi uint16, lo int16) float32 { return ref.JoinBits(hi, lo) }

// plane is an array with so many bits for each element of a weight's storage, kept
// for whole groups of elements.
type plane struct {
	gpu.Tensor
	bits, group int
}

// floats is a plane of the weight's own shape.
func floats(t gpu.Tensor) plane {
	if t.DType == gpu.BF16 {
		return plane{t, 16, gpu.RowPadding}
	}
	return plane{t, 32, gpu.RowPadding}
}

// words is what n elements take.
func (x plane) words(n int) int { return gpu.Groups(n, x.group) * x.group * x.bits / 32 }

// part views n elements of the storage from at on.
func (x plane) part(at, n int) gpu.Tensor {
	s := x.Spec
	s.Shape = []int{n}
	if s.DType == gpu.U32 {
		s.Shape = []int{x.words(n)}
	}
	return x.As(s, at*x.bits/32)
}

// update records the kernel over all of a weight's storage, in parts where the device
// does not bind as much at once. planes are its bindings but stats, the last; the
// first is the weight. An invocation takes so many pairs.
func (f *family) update(p *gpu.Pass, pairs int, stats gpu.Tensor, o AdamW, planes ...plane) {
	weight := planes[0]
	if !alike(p, f.name, weight.Tensor) {
		return
	}
	total, moved, widest := weight.Rows()*weight.Stride(), 0, 0
	for _, x := range planes {
		if x.DType != gpu.U32 && !alike(p, f.name, weight.Tensor, x.Tensor) {
			return
		}
		if x.Words() != x.words(total) {
			p.Fail(fmt.Errorf("%s: tensor %s has %d words, weight %s needs %d", f.name, x.Name, x.Words(), weight.Name, x.words(total)))
			return
		}
		moved, widest = moved+x.bits/4, max(widest, x.bits) // read and written
	}
	const step = 2048 // elements: with a bit each, views begin at multiples of 256 bytes
	most := max(step, int(p.Limits().Binding*8/int64(widest))/step*step)
	for at := 0; at < total; at += most {
		n := min(most, total-at)
		var tensors []gpu.Tensor
		for _, x := range planes {
			tensors = append(tensors, x.part(at, n))
		}
		f.run(p, gpu.Call{
			Groups: groups1(gpu.Groups(n/2, pairs), 64), Params: append([]uint32{uint32(n / 2)}, adamwParams(o)...),
			Tensors: append(tensors, stats), Work: traffic(moved, n),
		})
	}
}
