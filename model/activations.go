package model

import (
	"fmt"
	"slices"

	"steplm/gpu"
	"steplm/wgsl"
)

// Size is the shape of one micro-batch, and what it may take.
type Size struct {
	Batch  int `json:"batch"`   // B
	SeqLen int `json:"seq_len"` // T
	// Recompute: forward keeps only every block's input, and backward runs each
	// block a second time; the numbers are the same.
	Recompute bool `json:"recompute"`
	// HeadRows is how many rows of logits exist at once, at most all; 0:
	// DefaultHeadRows. The head's gradient is rounded to the gradients' type once for
	// each such chunk: in bf16, 64 of them are 0.8 % off.
	HeadRows int `json:"head_rows"`
}

// Rows is B T.
func (s Size) Rows() int { return s.Batch * s.SeqLen }

// DefaultHeadRows is what 16 MiB of f32 logits hold.
func DefaultHeadRows(c Config, s Size) int { return HeadRowsOf(c, s, 16<<20) }

// headRowsStep is what products like the rows of logits to be a multiple of.
const headRowsStep = 32

// HeadRowsOf is how many rows of f32 logits fit into bytes, at least one: all, or a
// multiple of headRowsStep if there are so many.
func HeadRowsOf(c Config, s Size, bytes int64) int {
	n := int(bytes / 4 / int64(c.Vocab))
	switch {
	case n >= s.Rows():
		return s.Rows()
	case n > headRowsStep:
		return n / headRowsStep * headRowsStep
	}
	return max(1, n)
}

// Activations is what a micro-batch needs on the device besides the model:
// inputs, what forward keeps for backward, scratch. Without training all blocks
// share one set.
type Activations struct {
	Size   // HeadRows filled in
	train  bool
	dev    gpu.Device
	all    []gpu.Tensor
	blocks []blockActivations

	// The batch, as data.Batch has it.
	ids, targets          gpu.Tensor // (rows)
	tokens, starts, order gpu.Tensor // (rows), (rows+1), (rows)
	segments              int
	loads                 int // batches so far

	cos, sin     gpu.Tensor // (T, D/2)
	out          gpu.Tensor // (rows, C) output of the last block
	normed, rstd gpu.Tensor // (rows, C), (rows): the last norm
	logits       gpu.Tensor // (HeadRows, V) f32; their gradients in place
	losses       gpu.Tensor // (rows)
	Stats        gpu.Tensor // see wgsl stats

	// Backward's scratch, shared by all blocks.
	dx, dh           gpu.Tensor // (rows, C): residual stream, norm output
	dq, dout         gpu.Tensor // (rows, H D)
	dk, dv           gpu.Tensor // (rows, K D)
	delta            gpu.Tensor // (B, H, T)
	dact, dgate, dup gpu.Tensor // (rows, F)
	du               gpu.Tensor // (rows, R)
	slices           gpu.Tensor // of LoRA's gradients, see matmul.SplitSpec

	frozen gpu.Tensor // (largest linear): an int8 weight as products take it
}

// blockActivations is what one block keeps.
type blockActivations struct {
	x, mid       gpu.Tensor   // (rows, C): input, after attention
	h1, h2       gpu.Tensor   // (rows, C): norm outputs
	rstd1, rstd2 gpu.Tensor   // (rows)
	q, attn      gpu.Tensor   // (rows, H D)
	k, v         gpu.Tensor   // (rows, K D)
	lse          gpu.Tensor   // (B, H, T)
	gate, up     gpu.Tensor   // (rows, F)
	act          gpu.Tensor   // (rows, F): silu(gate) up
	u            []gpu.Tensor // (rows, R) of each linear by its place in the block: scaled A x, of LoRA
}

// maker makes tensors, or with no device only lists them, so that a plan and
// the allocation are one piece of code.
type maker struct {
	dev   gpu.Device
	specs []gpu.Spec
	made  []gpu.Tensor
	err   error
}

func (m *maker) tensor(class gpu.Class, dtype gpu.DType, name string, shape ...int) gpu.Tensor {
	s := gpu.Spec{Name: name, Class: class, DType: dtype, Shape: shape}
	m.specs = append(m.specs, s)
	if m.dev == nil || m.err != nil {
		return gpu.Tensor{}
	}
	t, err := m.dev.New(s)
	if err != nil {
		m.err = err
		return gpu.Tensor{}
	}
	m.made = append(m.made, t)
	return t
}

// ActivationSpecs lists what NewActivations would allocate.
func ActivationSpecs(l Layout, s Size) []gpu.Spec {
	m := &maker{}
	makeActivations(m, l, s)
	return m.specs
}

// NewActivations allocates for micro-batches of a size; the layout's Inference
// decides whether backward can be run.
func NewActivations(dev gpu.Device, l Layout, s Size) (*Activations, error) {
	if s.Batch < 1 || s.SeqLen < 1 {
		return nil, fmt.Errorf("batch size %d and sequence length %d must be 1 or more", s.Batch, s.SeqLen)
	}
	if s.SeqLen > l.MaxSeqLen {
		return nil, fmt.Errorf("sequence length %d is above the model's %d positions", s.SeqLen, l.MaxSeqLen)
	}
	m := &maker{dev: dev}
	a := makeActivations(m, l, s)
	a.dev, a.all = dev, m.made
	if m.err != nil {
		a.Free()
		return nil, m.err
	}
	cos, sin := wgsl.RopeTables(s.SeqLen, l.HeadDim(), l.RopeTheta)
	if err := gpu.WriteF32(dev, a.cos, cos); err != nil {
		a.Free()
		return nil, err
	}
	if err := gpu.WriteF32(dev, a.sin, sin); err != nil {
		a.Free()
		return nil, err
	}
	return a, nil
}

func makeActivations(m *maker, l Layout, s Size) *Activations {
	if s.HeadRows == 0 {
		s.HeadRows = DefaultHeadRows(l.Config, s)
	}
	s.HeadRows = min(s.HeadRows, s.Rows())
	rows, c, f := s.Rows(), l.Hidden, l.FFN
	hd, kd := l.QDim(), l.KVDim()
	a := &Activations{Size: s, train: !l.Inference}
	stored := dtypeOf(l.Storage.Precision)
	act := func(name string, shape ...int) gpu.Tensor { return m.tensor(gpu.Activations, stored, name, shape...) }
	stat := func(name string, shape ...int) gpu.Tensor {
		return m.tensor(gpu.Activations, gpu.F32, name, shape...)
	}
	scratch := func(name string, shape ...int) gpu.Tensor { return m.tensor(gpu.Scratch, stored, name, shape...) }
	wide := func(name string, shape ...int) gpu.Tensor {
		return m.tensor(gpu.Scratch, gpu.F32, name, shape...)
	}
	index := func(name string, n int) gpu.Tensor { return m.tensor(gpu.Scratch, gpu.U32, name, n) }

	a.ids, a.targets = index("batch.ids", rows), index("batch.targets", rows)
	if a.train {
		a.tokens, a.starts, a.order = index("batch.tokens", rows), index("batch.starts", rows+1), index("batch.order",
			rows)
	}
	a.cos, a.sin = wide("rope.cos", s.SeqLen, l.HeadDim()/2), wide("rope.sin", s.SeqLen, l.HeadDim()/2)

	// set makes one block's tensors but for its input.
	set := func(name func(string) string, lora bool) blockActivations {
		x := blockActivations{
			mid: act(name("mid"), rows, c), h1: act(name("h1"), rows, c), h2: act(name("h2"), rows, c),
			rstd1: stat(name("rstd1"), rows), rstd2: stat(name("rstd2"), rows),
			q: act(name("q"), rows, hd), attn: act(name("attn"), rows, hd),
			k: act(name("k"), rows, kd), v: act(name("v"), rows, kd),
			lse:  stat(name("lse"), s.Batch, l.Heads, s.SeqLen),
			gate: act(name("gate"), rows, f), up: act(name("up"), rows, f), act: act(name("act"), rows, f),
		}
		for _, linear := range LinearNames() {
			u := gpu.Tensor{}
			if lora && slices.Contains(l.LoRA.Targets, linear) {
				u = act(name(linear+".u"), rows, l.LoRA.Rank)
			}
			x.u = append(x.u, u)
		}
		return x
	}
	shared := func(name string) string { return "block." + name }
	switch {
	case !a.train: // all blocks share one set, input and output too
		x := set(shared, false)
		x.x = act(shared("x"), rows, c)
		a.blocks = []blockActivations{x}
	case s.Recompute: // all but the inputs
		x := set(shared, l.wrapped())
		for _, b := range l.Blocks {
			x.x = act(b.Name("x"), rows, c)
			a.blocks = append(a.blocks, x)
		}
	default:
		for _, b := range l.Blocks {
			x := set(b.Name, b.Wrapped)
			x.x = act(b.Name("x"), rows, c)
			a.blocks = append(a.blocks, x)
		}
	}
	if l.wrapped() {
		// The scratch of backward; without training, forward's.
		a.du = scratch("du", rows, l.LoRA.Rank)
	}
	if a.train {
		a.out = act("out", rows, c)
	} else {
		a.out = a.blocks[0].x
	}
	a.normed, a.rstd = act("normed", rows, c), stat("rstd", rows)
	a.logits, a.losses = wide("logits", s.HeadRows, l.Vocab), wide("losses", rows)
	a.Stats = wide("stats", wgsl.StatWords)
	if a.train {
		a.dx, a.dh = scratch("dx", rows, c), scratch("dh", rows, c)
		a.dq, a.dout = scratch("dq", rows, hd), scratch("dout", rows, hd)
		a.dk, a.dv = scratch("dk", rows, kd), scratch("dv", rows, kd)
		a.delta = wide("delta", s.Batch, l.Heads, s.SeqLen)
		a.dact, a.dgate, a.dup = scratch("dact", rows, f), scratch("dgate", rows, f), scratch("dup", rows, f)
	}
	if words := l.splitWords(rows); a.train && words > 0 {
		a.slices = m.tensor(gpu.Scratch, gpu.U32, "lora.slices", words)
	}
	if l.hasInt8() {
		a.frozen = m.tensor(gpu.Scratch, gpu.U32, "frozen.dense", l.largestLinear(stored))
	}
	return a
}

// Free releases every tensor.
func (a *Activations) Free() {
	for _, t := range a.all {
		a.dev.Free(t)
	}
	a.all = nil
}

// block is the set of block i.
func (a *Activations) block(i int) *blockActivations {
	if !a.train {
		return &a.blocks[0]
	}
	return &a.blocks[i]
}

// next is where block i's output goes: the next block's input.
func (a *Activations) next(i int) gpu.Tensor {
	if !a.train || i+1 == len(a.blocks) {
		return a.out
	}
	return a.blocks[i+1].x
}

// Load writes a micro-batch to the device: B T inputs and targets, row-major, of which a target
// of data.Ignored does not count. tokens, starts and order group the input positions by id for
// the embedding's gradient, as data.Batch has them; they are not read where nothing trains.
func (a *Activations) Load(inputs, targets, tokens, starts, order []uint32) error {
	if len(inputs) != a.Rows() || len(targets) != a.Rows() {
		return fmt.Errorf("batch of %d inputs and %d targets for %d rows", len(inputs), len(targets), a.Rows())
	}
	a.loads++
	type pair struct {
		t gpu.Tensor
		w []uint32
	}
	pairs := []pair{{a.ids, inputs}, {a.targets, targets}}
	if a.train {
		a.segments = len(tokens)
		pairs = append(pairs, pair{a.tokens, tokens}, pair{a.starts, starts}, pair{a.order, order})
	}
	for _, p := range pairs {
		if err := a.dev.Write(p.t, 0, p.w); err != nil {
			return err
		}
	}
	return nil
}

// Loads is how many batches were loaded so far: that it has not changed says that a
// batch is still there.
func (a *Activations) Loads() int { return a.loads }

// Losses reads the natural-log loss of every target, 0 where ignored.
func (a *Activations) Losses() ([]float32, error) { return gpu.ReadF32(a.dev, a.losses) }
