package wgsl

import (
	"fmt"
	"slices"
	"strings"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
	"steplm/wgsl/ref"
)

// Words of the F32 tensor stats, which is what a step reads back.
const (
	StatLoss  = ref.StatLoss  // sum of losses since the caller cleared it
	StatNorm  = ref.StatNorm  // L2 norm of the gradients before clipping
	StatScale = ref.StatScale // what clipping multiplies gradients by
	// StatSquares is the sum of squared norms that ReleaseScale saw since the caller
	// cleared it.
	StatSquares = ref.StatSquares
	StatWords   = 8 // its length; the others are spare
)

// normPart is the number of elements whose squares one workgroup sums, as
// squared_norms.wgsl.tmpl has it.
const normPart = ref.NormPart

var sumLosses = library.Tree("sum_losses", []gpu.Access{w, r}, func(a gpu.Args) {
	ref.SumLosses(a.F(0), a.F(1), a.Int(0))
})

// normGrads is the most gradients of a call.
const normGrads = gpu.MaxStorage - 1

// Each binding costs a call something: one gradient has a kernel of its own.
var squaredNorm, squaredNorms = declareNorms(1), declareNorms(normGrads)

func declareNorms(count int) *kernel.Family {
	name, bindings := fmt.Sprint("squared_norms_", count), kernel.UpTo(count + 1)[1:]
	source := kernel.Fill(library.Parse("squared_norms", nil),
		map[string]any{"Name": name, "Count": count, "Bindings": bindings, "Params": count + 1})
	k := gpu.Kernel{Name: name, Entry: name, Source: kernel.TreeText + "\n" + source, Workgroup: [3]int{64, 1, 1},
		Shared: 64 * 4,
		Access: append([]gpu.Access{w}, slices.Repeat([]gpu.Access{r}, count)...)}
	k.Host = func(a gpu.Args) {
		for i := range a.Int(0) {
			ref.SquaredNorm(a.F(0), a.F(1+i), a.Int(1+4*i+2))
		}
	}
	return library.Family(k, "F"+strings.Repeat("G", count), kernel.Storages[:2])
}

var clipScale = library.Tree("clip_scale", []gpu.Access{w, r}, func(a gpu.Args) {
	ref.ClipScale(a.F(0), a.F(1), a.Int(0), a.Float(1))
})

var releaseScale = library.Tree("release_scale", []gpu.Access{w, r}, func(a gpu.Args) {
	ref.ReleaseScale(a.F(0), a.F(1), a.Int(0), a.Float(1))
})

var releaseNorm = library.Declare("release_norm", [3]int{1, 1, 1}, []gpu.Access{w}, func(a gpu.Args) {
	ref.ReleaseNorm(a.F(0))
})

// SumLosses adds the sum of n losses to stats[StatLoss].
func SumLosses(p *gpu.Pass, stats, losses gpu.Tensor, n int) {
	kernel.OneWorkgroup(p, sumLosses, n, []uint32{uint32(n)}, stats, losses)
}

// SquaredNormParts is the number of partial sums of a gradient, the same on every
// device.
func SquaredNormParts(grad gpu.Spec) int { return gpu.Groups(grad.Rows()*grad.Stride(), normPart) }

// SquaredNorms sets elements of partials (F32) to sums of squares of gradients (F32 or
// BF16, all of one type, of any sizes), the sums of each from a multiple of
// gpu.RowPadding on, and returns where the last ones end. What lies between is left as
// it is.
func SquaredNorms(p *gpu.Pass, partials gpu.Tensor, grads ...gpu.Tensor) int {
	const name = "squared_norms"
	if !kernel.Alike(p, name, partials) {
		return 0
	}
	most := max(normPart, int(p.Limits().Binding/4)/normPart*normPart)
	var call normCall
	end := 0
	for i := range grads {
		g := &grads[i]
		if !kernel.Alike(p, name, *g) {
			return 0
		}
		at, parts := gpu.Padded(end), SquaredNormParts(g.Spec)
		if end = at + parts; end > partials.Cols() {
			p.Fail(fmt.Errorf("%s: partial sums %d to %d of tensor %s, which has %d", name, at, end, partials.Name,
				partials.Cols()))
			return 0
		}
		total, x := g.Rows()*g.Stride(), kernel.Floats(*g)
		for first := 0; first < total; first += most {
			n := min(most, total-first)
			if call.add(x.Part(first, n, []int{n}), n, at+first/normPart); call.count == normGrads {
				call.record(p, partials)
			}
		}
	}
	call.record(p, partials)
	return end
}

// normCall is a call of squared_norms that gathers gradients, or parts of them.
type normCall struct {
	count, elements, groups int
	grads                   [normGrads]gpu.Tensor
	params                  [normGrads][4]uint32
}

// add gathers n elements, whose sums begin at element at of the partials.
func (c *normCall) add(x gpu.Tensor, n, at int) {
	c.grads[c.count], c.params[c.count] = x, [4]uint32{uint32(c.groups), uint32(n / 8), uint32(at)}
	c.count, c.elements, c.groups = c.count+1, c.elements+n, c.groups+gpu.Groups(n, normPart)
}

// record empties the call. Bindings to spare have a tensor that nothing reads there.
func (c *normCall) record(p *gpu.Pass, partials gpu.Tensor) {
	f, bindings := squaredNorms, normGrads
	switch c.count {
	case 0:
		return
	case 1:
		f, bindings = squaredNorm, 1
	}
	var list [1 + normGrads]gpu.Tensor
	var words [1 + 4*normGrads]uint32
	tensors, params := append(list[:0], partials), append(words[:0], uint32(c.count))
	for i := range bindings {
		tensors, params = append(tensors, c.grads[min(i, c.count-1)]), append(params, c.params[i][:]...)
	}
	f.Run(p, gpu.Call{Groups: [3]int{c.groups, 1, 1}, Params: p.Params(params...), Tensors: p.Tensors(tensors...),
		Work: kernel.Traffic(4, c.elements)})
	*c = normCall{}
}

// ClipScale sets stats[StatNorm] to the root of the sum of n partials, and
// stats[StatScale] to what brings a larger norm down to maxNorm: 1 if maxNorm is
// 0 or less, 0 if the norm is not finite.
func ClipScale(p *gpu.Pass, stats, partials gpu.Tensor, n int, maxNorm float32) {
	kernel.OneWorkgroup(p, clipScale, n, []uint32{uint32(n), gpu.Param(maxNorm)}, stats, partials)
}

// ReleaseScale is ClipScale for one of the parameters that are updated one by one,
// before the norm of the whole gradient is known: from n partials of its gradient
// alone. It adds the square of the norm to stats[StatSquares]. When the gradient, an
// earlier one or stats[StatLoss] is not finite, neither are StatNorm and StatSquares, so
// that nothing more is updated.
func ReleaseScale(p *gpu.Pass, stats, partials gpu.Tensor, n int, maxNorm float32) {
	kernel.OneWorkgroup(p, releaseScale, n, []uint32{uint32(n), gpu.Param(maxNorm)}, stats, partials)
}

// ReleaseNorm sets stats[StatNorm] to the root of stats[StatSquares]: the norm of all
// gradients, not finite if one was not.
func ReleaseNorm(p *gpu.Pass, stats gpu.Tensor) {
	p.Run(gpu.Call{Kernel: releaseNorm, Groups: [3]int{1, 1, 1}, Tensors: p.Tensors(stats)})
}
