package update

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/update/ref"
)

// AdamW is the numbers of one AdamW step.
type AdamW = ref.AdamW

// The kernels of AdamW differ in what they keep of a parameter besides its weight
// and gradient. They go over the storage as it lies, padding included, which stays
// zero: a zero weight with zero gradient and moments remains one.

var adamwF32 = adamw("adamw_f32", "", "", kernel.Storages[:1], []gpu.Access{w, w, w, r, r}, "PFFGF", func(a gpu.Args) {
	ref.AdamWF32(a.F(0), a.F(1), a.F(2), a.F(3), a.F(4), adamwArgs(a))
})

var adamwPaper = adamw("adamw_paper", "", "", kernel.Storages[1:], []gpu.Access{w, w, w, w, r, r}, "PFFFGF",
	func(a gpu.Args) {
		ref.AdamWPaper(a.U(0), a.F(1), a.F(2), a.F(3), a.F(4), a.F(5), adamwArgs(a))
	})

var adamwSplit = adamw("adamw_split", "", "", kernel.Storages[1:], []gpu.Access{w, w, w, w, r, r}, "PUFFGF",
	func(a gpu.Args) {
		ref.AdamWSplit(a.U(0), a.U(1), a.F(2), a.F(3), a.F(4), a.F(5), adamwArgs(a))
	})

var adamwStochastic = adamw("adamw_stochastic", "", library.Text("random")+"\n", kernel.Storages[1:],
	[]gpu.Access{w, w, w, r, r}, "PFFGF", func(a gpu.Args) {
		ref.AdamWStochastic(a.U(0), a.F(1), a.F(2), a.F(3), a.F(4), a.Int(8), adamwArgs(a))
	})

var adamwFlash8 = flash8("", library.Text("companded"), ref.Companded)

// flash8 declares adamw_flash8, with a suffix to its name, with a codec's functions.
func flash8(suffix, codec string, c ref.Codec) *kernel.Family {
	return adamw("adamw_flash8", suffix, codec+"\n", kernel.Storages[1:], []gpu.Access{w, w, w, w, w, r, r}, "PUUUUGF",
		func(a gpu.Args) {
			ref.AdamWFlash8(a.U(0), a.U(1), a.U(2), a.U(3), a.U(4), a.F(5), a.F(6), adamwArgs(a), c)
		})
}

// adamw declares the kernels of file name.wgsl, with a suffix to their names and a
// prelude, for the given storage types.
func adamw(name, suffix, prelude string, list []kernel.Storage, access []gpu.Access, types string,
	host func(gpu.Args)) *kernel.Family {
	return library.Family(gpu.Kernel{
		Name: name + suffix, Entry: name, Source: library.Text("masters") + "\n" + library.Text("adamw") +
			"\n" + prelude + library.Text(name), Workgroup: [3]int{64, 1, 1}, Access: access, Host: host,
	}, types, list)
}

// adamwParams are those for n eights from the first-th of the weight's; adamwArgs reads them.
func adamwParams(p *gpu.Pass, first, n int, o *AdamW) []uint32 {
	return p.Params(uint32(n), gpu.Param(o.LR), gpu.Param(o.Beta1), gpu.Param(o.Beta2), gpu.Param(o.Eps),
		gpu.Param(o.Decay), gpu.Param(o.Correction1), gpu.Param(o.Correction2), uint32(first), o.Draw.Key, o.Draw.Count)
}

func adamwArgs(a gpu.Args) AdamW {
	return AdamW{LR: a.Float(1), Beta1: a.Float(2), Beta2: a.Float(3), Eps: a.Float(4), Decay: a.Float(5),
		Correction1: a.Float(6), Correction2: a.Float(7),
		Draw: ref.Draw{Key: uint32(a.Int(9)), Count: uint32(a.Int(10))}}
}

// AdamWF32 updates weight and its moments m and v, F32 of one shape, from grad (F32)
// times stats[StatScale]. Like the others it writes nothing when stats[StatNorm] is
// not finite, and takes tensors of any size.
func AdamWF32(p *gpu.Pass, weight, m, v, grad, stats gpu.Tensor, o AdamW) {
	update(adamwF32, p, 1, 0, stats, o, kernel.Floats(weight), kernel.Floats(m), kernel.Floats(v), kernel.Floats(grad))
}

// AdamWPaper updates a weight (BF16) that has an F32 master and moments of its
// shape, from grad (BF16 or F32): weight is master rounded as SplitBits does.
func AdamWPaper(p *gpu.Pass, weight, master, m, v, grad, stats gpu.Tensor, o AdamW) {
	update(adamwPaper, p, 1, 0, stats, o, kernel.Floats(weight), kernel.Floats(master), kernel.Floats(m),
		kernel.Floats(v), kernel.Floats(grad))
}

// AdamWSplit is AdamWPaper, bit for bit, without a master: low (U32, as many words as
// weight) holds what SplitBits leaves of it, laid out like the weight.
func AdamWSplit(p *gpu.Pass, weight, low, m, v, grad, stats gpu.Tensor, o AdamW) {
	update(adamwSplit, p, 1, 0, stats, o, kernel.Floats(weight), kernel.PlaneOf(low, 16, gpu.RowPadding),
		kernel.Floats(m), kernel.Floats(v),
		kernel.Floats(grad))
}

// AdamWStochastic updates a weight (BF16) that has no master, with F32 moments of its shape:
// the new weight is rounded up or down at random, up by the chance of its distance from the
// lower one, so that on average nothing is lost. What is drawn follows from o.Draw and the
// element's place alone.
func AdamWStochastic(p *gpu.Pass, weight, m, v, grad, stats gpu.Tensor, o AdamW) {
	update(adamwStochastic, p, 1, 0, stats, o, kernel.Floats(weight), kernel.Floats(m), kernel.Floats(v),
		kernel.Floats(grad))
}

// Draw is what a counter-based generator draws by: a key and a count. The same give the same.
type Draw = ref.Draw

// AdamWFlash8 updates a weight (BF16) whose master has 24 bits and whose moments have
// 8, after FlashOptim (arXiv 2602.23349): 5.125 bytes per parameter, weight included.
// low, m and v are bytes, scales the moments' scales of each 32 consecutive elements of
// the weight's storage, all U32 of as many words as Flash8Words says; words of zeros are
// a master that is the weight, and moments of zero. low is Flash8Bits's. m is
// code/127 = 2x/(1+|x|) of x = m/scale, v is code/255 = sqrt(v)/scale, the scales are
// bf16 and rounded up. What would change a moment by less than half a code is lost:
// with a Beta2 above 0.99, v no longer follows gradients that become smaller.
func AdamWFlash8(p *gpu.Pass, weight, low, m, v, scales, grad, stats gpu.Tensor, o AdamW) {
	updateFlash8(adamwFlash8, p, weight, low, m, v, scales, grad, stats, o)
}

func updateFlash8(f *kernel.Family, p *gpu.Pass, weight, low, m, v, scales, grad, stats gpu.Tensor, o AdamW) {
	const (
		group = ref.Flash8Group
		ops   = 200 // to decode twice and to encode
	)
	update(f, p, group/8, ops, stats, o, kernel.Floats(weight), kernel.PlaneOf(low, 8, group),
		kernel.PlaneOf(m, 8, group), kernel.PlaneOf(v, 8, group),
		kernel.PlaneOf(scales, 1, group), kernel.Floats(grad))
}

// Flash8Words is how many words AdamWFlash8 takes for so many elements of a weight's
// storage, padding included: in each plane of bytes, and of scales.
func Flash8Words(elements int) (bytes, scales int) {
	return kernel.Plane{Bits: 8, Group: ref.Flash8Group}.ElementWords(elements), kernel.Plane{Bits: 1,
		Group: ref.Flash8Group}.ElementWords(elements)
}

// Flash8First is the first moment of element i of the storage, from AdamWFlash8's planes.
func Flash8First(m, scales []uint32, i int) float32 {
	scale, _ := ref.Scales(scales[i/ref.Flash8Group])
	return ref.Companded.DecodeM(int8(m[i/4]>>(i%4*8)), scale)
}

// SplitBits is an f32 master as the bfloat16 next to it, ties away from zero, which is
// the working weight, and the rest of its bits; NaNs stay NaNs.
func SplitBits(f float32) (hi uint16, lo int16) { return ref.SplitBits(f) }

// Flash8Bits is an f32 master rounded to 24 bits: SplitBits's bfloat16, and the rest to
// the nearest multiple of 256 that a byte holds.
func Flash8Bits(f float32) (hi uint16, lo int8) { return ref.Flash8Bits(f) }

// update records the kernel over all of a weight's storage, in parts where the device
// does not bind as much at once. planes are its bindings but stats, the last; the
// first is the weight. An invocation takes so many eights; ops is the operations per
// element that memory does not hide.
func update(f *kernel.Family, p *gpu.Pass, eights, ops int, stats gpu.Tensor, o AdamW, planes ...kernel.Plane) {
	updateBy(f, p, eights, ops, planes, func(first, n int) []uint32 { return adamwParams(p, first, n, &o) }, stats)
}

// updateBy is update of any rule: params are those for n eights from the first-th on, rest are
// the bindings after the planes, whole in every call.
func updateBy(f *kernel.Family, p *gpu.Pass, eights, ops int, planes []kernel.Plane, params func(first, n int) []uint32,
	rest ...gpu.Tensor) {
	weight := planes[0]
	if !kernel.Alike(p, f.Name, weight.Tensor) {
		return
	}
	total, moved, widest := weight.Rows()*weight.Stride(), 0, 0
	for i := range planes {
		x := &planes[i]
		if x.DType != gpu.U32 && !kernel.Alike(p, f.Name, weight.Tensor, x.Tensor) {
			return
		}
		if x.Words() != x.ElementWords(total) {
			p.Fail(fmt.Errorf("%s: tensor %s has %d words, weight %s needs %d", f.Name, x.Name, x.Words(), weight.Name,
				x.ElementWords(total)))
			return
		}
		moved, widest = moved+x.Bits/4, max(widest, x.Bits) // read and written
	}
	const step = 2048 // elements: with a bit each, views begin at multiples of 256 bytes
	most := max(step, int(p.Limits().Binding*8/int64(widest))/step*step)
	for at := 0; at < total; at += most {
		n := min(most, total-at)
		var list [gpu.MaxStorage]gpu.Tensor
		tensors, shape := list[:0], []int{n}
		for i := range planes {
			tensors = append(tensors, planes[i].Part(at, n, shape))
		}
		f.Run(p, gpu.Call{
			Groups: kernel.Groups1(gpu.Groups(n/8, eights), 64), Params: params(at/8, n/8),
			Tensors: p.Tensors(append(tensors, rest...)...), Work: kernel.Traffic(moved, n) + float64(ops*n),
		})
	}
}

// JoinBits is SplitBits's inverse, exact for every value but NaNs.
func JoinBits(hi uint16, lo int16) float32 { return ref.JoinBits(hi, lo) }

// JoinFlash8Bits is the value that Flash8Bits stands for.
func JoinFlash8Bits(hi uint16, lo int8) float32 { return ref.JoinFlash8Bits(hi, lo) }
