package attention

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"steplm/gpu"
	"steplm/wgsl/internal/kernel"
)

// Class is the calls of one kernel that share a choice of block: those of a
// shape, and larger ones, which behave as it does.
type Class struct {
	Kind  kernelKind
	DType gpu.DType
	Shape Shape
}

// cut halves the batch, then the heads, then the positions until one call
// is no more than what is tried out.
func (c Class) cut(l gpu.Limits) Class {
	for s := &c.Shape; c.work() > kernel.TrialWork(l); {
		switch {
		case s.B > 1:
			s.B = (s.B + 1) / 2
		case s.KV > 1:
			group := s.Group()
			s.KV = (s.KV + 1) / 2
			s.H = group * s.KV
		case s.T > 128:
			s.T = gpu.Padded(s.T / 2)
		default:
			return c
		}
	}
	return c
}

// work is that of one document as long as the sequence: where documents end is not known here.
func (c Class) work() float64 {
	s := c.Shape
	return float64(kinds[c.Kind].ops) * float64(s.D) * float64(s.B*s.H) * float64(s.T) * float64(s.T+1) / 2
}

func (c Class) String() string {
	s := c.Shape
	word := fmt.Sprintf("%s %s d%d b%d h%d kv%d t%d", kinds[c.Kind].name, c.DType, s.D, s.B, s.H, s.KV, s.T)
	if s.Documents {
		word += documentsSuffix
	}
	return word
}

// tensors are the letters of a call's bindings, see kinds.
func (c Class) tensors() string { return c.Kind.tensors(c.Shape.Documents) }

// kernel is that of a block.
func (c Class) kernel(b block) *gpu.Kernel {
	return variant{b, c.head(), c.Kind, c.Shape.Documents}.kernel()
}

func (c Class) head() head { return head{c.Shape.D, c.DType} }

// specs are the tensors of a call in binding order; the kernel writes the first two.
func (c Class) specs() []gpu.Spec {
	var list []gpu.Spec
	for i, letter := range c.tensors() {
		s := gpu.Spec{Name: fmt.Sprintf("attention %d", i), Class: gpu.Scratch, DType: c.DType}
		rows, columns := tensorOf(letter, c.Shape)
		s.Shape = []int{rows, columns}
		if strings.ContainsRune(statistics, letter) {
			s.DType = gpu.F32
		}
		list = append(list, s)
	}
	return list
}

// run records a call with a block, on tensors as specs lists them.
func (c Class) run(p *gpu.Pass, b block, tensors []gpu.Tensor) {
	s, heads := c.Shape, c.Shape.H
	if kinds[c.Kind].perKey {
		heads = s.KV
	}
	unit := c.head().unit()
	params := p.Params(uint32(s.T), uint32(s.H), uint32(s.KV), uint32(gpu.Padded(s.H*s.D)/unit),
		uint32(gpu.Padded(s.KV*s.D)/unit),
		uint32(gpu.Padded(s.T)), gpu.Param(float32(1/math.Sqrt(float64(s.D)))), uint32(s.B))
	if s.Documents {
		bounds := tensors[strings.IndexAny(c.tensors(), "BD")]
		params = append(params, uint32((bounds.Rows()-2*s.B)*bounds.Stride()))
	}
	p.Run(gpu.Call{
		Kernel:  c.kernel(b),
		Groups:  [3]int{gpu.Groups(s.T, b.count()), heads, s.B},
		Params:  params,
		Tensors: tensors,
		Work:    c.work(),
	})
}

var (
	classNames kernel.Names[Class]
	blockWords kernel.Names[block]
)

// choose is the block that the pass's device was told to run for the class, else the
// fallback.
func (c Class) choose(p *gpu.Pass, work float64) block {
	class := classNames.Of(c)
	b, ok := blockNames[p.Chosen(class)]
	if !ok || !b.fits(c.head(), p.Limits()) {
		b = c.fallback(p.Limits())
	}
	p.Use(class, blockWords.Of(b), work)
	return b
}

// cpuBlocks are what is tried where a workgroup of eight is a vector's lanes: a row
// that is loaded is used for as many rows as an invocation has.
var cpuBlocks = []block{{8, 8, 0, false}, {4, 8, 0, false}, {2, 8, 0, false}, {1, 8, 0, false}}

// gpuBlocks are what is tried on GPUs: first those without workgroup memory, which
// compile everywhere.
var gpuBlocks = []block{
	{1, 64, 0, true}, {1, 32, 0, true}, {1, 128, 0, true}, {1, 256, 0, true}, {2, 32, 0, true}, {2, 64, 0, true},
	{2, 128, 0, true}, {4, 32, 0, true}, {4, 64, 0, true},
	{1, 32, 16, true}, {1, 64, 8, true}, {1, 64, 16, true}, {1, 64, 32, true}, {1, 128, 8, true}, {1, 128, 16, true},
	{1, 128, 32, true}, {1, 256, 32, true},
	{2, 32, 16, true}, {2, 64, 16, true}, {2, 128, 32, true}, {4, 32, 16, true}, {4, 64, 16, true},
}

// of is the block as a kernel has it: only one of them rescales.
func (b block) of(kind kernelKind) block {
	b.Branch = b.Branch && kind == forward
	return b
}

// blockNames are all blocks that can be chosen.
var blockNames = func() map[string]block {
	m := map[string]block{}
	for _, b := range slices.Concat(cpuBlocks, gpuBlocks) {
		for kind := range kinds {
			b := b.of(kernelKind(kind))
			m[b.String()] = b
		}
	}
	return m
}()

// live is the components that an invocation holds: beyond a GPU's registers they are
// spilled, and a CPU takes seconds to compile them.
func (c Class) live(b block) int {
	return b.Rows * kinds[c.Kind].live * c.Shape.D
}

// blocks lists what is worth trying for the class, the fallback first: what fits the
// device, and has work for its invocations.
func (c Class) blocks(l gpu.Limits) []block {
	all, most := gpuBlocks, 512
	if l.CPU {
		all, most = cpuBlocks, 1024
	}
	list := []block{c.fallback(l)}
	for _, b := range all {
		b := b.of(c.Kind)
		wasteful := b.Rows > 1 && (c.live(b) > most || b.count() >= 2*c.Shape.T)
		if b.fits(c.head(), l) && !wasteful && b != list[0] {
			list = append(list, b)
		}
	}
	return list
}

// fallback is one row per invocation on GPUs, with which all compilers cope; on CPUs as
// many as compile in a few seconds and leave a vector's eight lanes alike work: a query
// has as many keys as its position says.
func (c Class) fallback(l gpu.Limits) block {
	if !l.CPU {
		return block{1, 64, 0, true}.of(c.Kind)
	}
	b := block{Rows: 8, Size: 8}
	for b.Rows > 1 && (c.live(b) > 768 || 4*b.count() > c.Shape.T) {
		b.Rows /= 2
	}
	return b
}
