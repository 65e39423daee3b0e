package update

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/update/ref"
)

// Applied is the numbers of an update by a direction, and what its factors belong to.
type Applied = ref.Applied

// By says what each of an update's factors belongs to.
type By = ref.By

// The choices of By.
const (
	Plain    = ref.Plain    // there are none
	ByTensor = ref.ByTensor // one of all elements
	ByRow    = ref.ByRow
	ByColumn = ref.ByColumn
)

// The kernels of updates by a direction, one for each way of keeping a master.

var applyF32 = apply("f32", kernel.Storages[:1], []gpu.Access{w, r, r, r}, "PGFF", func(a gpu.Args) {
	ref.ApplyF32(a.F(0), a.F(1), a.F(2), a.F(3), applyArgs(a))
})

var applyPaper = apply("paper", kernel.Storages[1:], []gpu.Access{w, w, r, r, r}, "PFGFF", func(a gpu.Args) {
	ref.ApplyPaper(a.U(0), a.F(1), a.F(2), a.F(3), a.F(4), applyArgs(a))
})

var applySplit = apply("split", kernel.Storages[1:], []gpu.Access{w, w, r, r, r}, "PUGFF", func(a gpu.Args) {
	ref.ApplySplit(a.U(0), a.U(1), a.F(2), a.F(3), a.F(4), applyArgs(a))
})

var applyStochastic = apply("stochastic", kernel.Storages[1:], []gpu.Access{w, r, r, r}, "PGFF", func(a gpu.Args) {
	ref.ApplyStochastic(a.U(0), a.F(1), a.F(2), a.F(3), applyArgs(a))
})

func apply(state string, list []kernel.Storage, access []gpu.Access, types string, host func(gpu.Args)) *kernel.Family {
	name, n := "apply_"+state, len(access)
	text := kernel.Fill(library.Parse("apply", nil), map[string]any{"Name": name, "State": state, "Source": n - 3,
		"Factors": n - 2, "Stats": n - 1, "Params": n})
	return library.Family(gpu.Kernel{Name: name, Entry: name,
		Source:    library.Text("masters") + "\n" + library.Text("random") + "\n" + text,
		Workgroup: [3]int{64, 1, 1}, Access: access, Host: host}, types, list)
}

func applyArgs(a gpu.Args) Applied {
	return Applied{First: a.Int(1), Stride: 8 * a.Int(2), By: By(a.Int(3)), Rate: a.Float(4), Decay: a.Float(5),
		Draw: Draw{Key: uint32(a.Int(6)), Count: uint32(a.Int(7))}}
}

// ApplyF32 makes weight (rows, C; F32) weight - rate U - decay weight. U is source (F32, of
// its shape) times factors (F32): none, one, one for each row or one for each column, as
// o.By says; there they are as many as the padded columns. Like the others it writes nothing
// when stats[StatNorm] is not finite.
func ApplyF32(p *gpu.Pass, weight, source, factors, stats gpu.Tensor, o Applied) {
	applyBy(applyF32, p, o, factors, stats, kernel.Floats(weight), kernel.Floats(source))
}

// ApplyPaper is ApplyF32 of the F32 master of a weight (BF16), which is its upper half,
// rounded as SplitBits does; source is BF16 or F32.
func ApplyPaper(p *gpu.Pass, weight, master, source, factors, stats gpu.Tensor, o Applied) {
	applyBy(applyPaper, p, o, factors, stats, kernel.Floats(weight), kernel.Floats(master), kernel.Floats(source))
}

// ApplySplit is ApplyPaper, bit for bit, on masters as AdamWSplit has them.
func ApplySplit(p *gpu.Pass, weight, low, source, factors, stats gpu.Tensor, o Applied) {
	applyBy(applySplit, p, o, factors, stats, kernel.Floats(weight), kernel.PlaneOf(low, 16, gpu.RowPadding),
		kernel.Floats(source))
}

// ApplyStochastic is ApplyF32 of a weight (BF16) without a master, rounded as
// AdamWStochastic does.
func ApplyStochastic(p *gpu.Pass, weight, source, factors, stats gpu.Tensor, o Applied) {
	applyBy(applyStochastic, p, o, factors, stats, kernel.Floats(weight), kernel.Floats(source))
}

func applyBy(f *kernel.Family, p *gpu.Pass, o Applied, factors, stats gpu.Tensor, planes ...kernel.Plane) {
	w := planes[0].Tensor
	if !kernel.Alike(p, f.Name, w) {
		return
	}
	need := map[By]int{Plain: 0, ByTensor: 1, ByRow: w.Rows(), ByColumn: w.Stride()}[o.By]
	if o.By == Plain {
		factors = stats // a binding needs some tensor
	}
	if len(factors.Shape) == 0 || factors.Words() < need {
		p.Fail(fmt.Errorf("%s: %d factors are needed for tensor %s (%d, %d), tensor %s has %d", f.Name, need, w.Name,
			w.Rows(), w.Cols(), factors.Name, factors.Words()))
		return
	}
	updateBy(f, p, 1, 0, planes, func(first, n int) []uint32 {
		return p.Params(uint32(n), uint32(first), uint32(kernel.EightStride(w)), uint32(o.By), gpu.Param(o.Rate),
			gpu.Param(o.Decay), o.Draw.Key, o.Draw.Count)
	}, factors, stats)
}
