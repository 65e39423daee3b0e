package matmul

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

// Decode is NT for rows that are few, as where a model generates: a row gets the same bits however many others there
// are. On GPUs they are not those of NT: there, lanes share the sum over k of an output, since a lane for each would
// be too few of them to load b as fast as memory is.
func Decode(p *gpu.Pass, out, a, b gpu.Tensor, s Shape) {
	if p.Limits().CPU {
		NT(p, out, a, b, s)
		return
	}
	shared(p, &out, &a, &b, &s)
}

// shared is NT whose outputs lanes share.
func shared(p *gpu.Pass, out, a, b *gpu.Tensor, s *Shape) {
	product(p, transposed{b: true}, true, out, a, b, s)
}

// outputLanes is how many lanes share an output: with another number the bits would be others.
const outputLanes = 32

// lanes is how such a kernel cuts its work: what is tuned.
type lanes struct {
	Rows int // of outputs per lane, whose columns are four
	Size int // invocations per workgroup, a multiple of outputLanes
}

func (t lanes) String() string { return fmt.Sprintf("%d_%d", t.Rows, t.Size) }

// block is the outputs of a workgroup.
func (t lanes) block() (m, n int) { return t.Rows, t.Size / outputLanes * 4 }

// shared is the bytes of workgroup memory.
func (t lanes) shared() int { return 16 * t.Rows * t.Size }

// fits reports whether a device can run it, and compiles it in seconds; that of a row and one output's lanes every GPU
// does.
func (t lanes) fits(l gpu.Limits) bool {
	return t == lanes{1, outputLanes} || t.Size <= l.Invocations && t.shared() <= kernel.MostMemory(l)
}

// lanesVariant names one kernel.
type lanesVariant struct {
	lanes
	Types    dtypes
	Residual bool
}

func (v lanesVariant) name() string {
	text := fmt.Sprintf("matmul_lanes_%s_%s_%s_%s", v.lanes, v.Types[0], v.Types[1], v.Types[2])
	if v.Residual {
		text += "_residual"
	}
	return text
}

// lanesSource is the template of all of them.
var lanesSource = library.Parse("matmul_lanes", functions)

var lanesKernels = map[lanesVariant]*gpu.Kernel{} // under mu

// kernel is made once; its identity keys the device's pipelines.
func (v lanesVariant) kernel() *gpu.Kernel {
	mu.Lock()
	defer mu.Unlock()
	if k, ok := lanesKernels[v]; ok {
		return k
	}
	text := kernel.Fill(lanesSource, map[string]any{"V": v, "Name": v.name(), "Lanes": outputLanes,
		"Quads": v.Size / outputLanes, "Sums": v.Rows * v.Size})
	twin := variant{tile: tile{Step: 8}, Transpose: "nt", Types: v.Types, Residual: v.Residual}
	access, types := []gpu.Access{gpu.Write, gpu.Read, gpu.Read}, v.Types[:]
	if v.Residual {
		access, types = append(access, gpu.Read), append(types[:3:3], v.Types[0])
	}
	k := &gpu.Kernel{Name: v.name(), Source: twin.prelude() + text, Workgroup: [3]int{v.Size, 1, 1},
		Shared: v.shared(), Access: access, DTypes: types, Host: twin.host}
	lanesKernels[v] = k
	return k
}

// runLanes records the piece, which has no second product.
func (x *piece) runLanes(p *gpu.Pass, t lanes) {
	bm, bn := t.block()
	tensors := []gpu.Tensor{*x.out.t, *x.a.t, *x.b.t}
	if !x.residual.none() {
		tensors = append(tensors, *x.residual.t)
	}
	p.Run(gpu.Call{
		Kernel:  lanesVariant{t, x.types(), !x.residual.none()}.kernel(),
		Tensors: p.Tensors(tensors...), Params: x.params(p),
		Groups: [3]int{gpu.Groups(gpu.Padded(x.n), bn), gpu.Groups(x.m, bm), 1}, Work: x.work(),
	})
}
