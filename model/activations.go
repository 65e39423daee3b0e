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
	Documents
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
	l      Layout
	train  bool
	dev    gpu.Device
	all    []gpu.Tensor
	short  map[int]*Activations // by positions of a window, see Windows
	blocks []blockActivations

	// The batch, as data.Batch has it.
	ids, targets          gpu.Tensor // (rows)
	tokens, starts, order gpu.Tensor // (rows), (rows+1), (rows)
	segments              int
	loads                 *int // batches so far

	positions      gpu.Tensor // (rows), where they restart
	rowCos, rowSin gpu.Tensor // (rows, D/2), likewise
	window         int        // positions that a query attends to, where they are fewer than SeqLen; else 0
	divided        bool       // bounds say what a query attends to, else it is all before it
	bounds         gpu.Tensor // of documents and sliding windows, see attention.Forward

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
	dRawK            gpu.Tensor // (rows, K D), where heads are normed: of keys before
	headSums         gpu.Tensor // (H D), likewise: see wgsl.HeadNormBackwardWeight
	delta            gpu.Tensor // (B, H, T), see attention.BackwardQuery
	dact, dgate, dup gpu.Tensor // (rows, F)
	du               gpu.Tensor // (rows, R)
	slices           gpu.Tensor // of LoRA's gradients, see matmul.SplitSpec

	frozen gpu.Tensor // (largest linear): an int8 weight as products take it

	rows rowTensors // of Rows, else none
}

// blockActivations is what one block keeps.
type blockActivations struct {
	x, mid       gpu.Tensor   // (rows, C): input, after attention
	h1, h2       gpu.Tensor   // (rows, C): norm outputs
	rstd1, rstd2 gpu.Tensor   // (rows)
	q, attn      gpu.Tensor   // (rows, H D)
	k, v         gpu.Tensor   // (rows, K D)
	rawQ         gpu.Tensor   // (rows, H D), where heads are normed: before
	rawK         gpu.Tensor   // (rows, K D), likewise
	rstdQ, rstdK gpu.Tensor   // (rows H), (rows K), likewise
	lse          gpu.Tensor   // (B, H, T)
	gate, up     gpu.Tensor   // (rows, F)
	act          gpu.Tensor   // (rows, F): silu(gate) up
	u            []gpu.Tensor // (rows, R) of each linear by its place in the block: scaled A x, of LoRA
	cache        cacheBlock   // of Rows, else none
}

// projectedQ is where queries come from: what is normed, or q itself.
func (x *blockActivations) projectedQ() gpu.Tensor {
	if !x.rawQ.None() {
		return x.rawQ
	}
	return x.q
}

// projectedK is projectedQ of keys.
func (x *blockActivations) projectedK() gpu.Tensor {
	if !x.rawK.None() {
		return x.rawK
	}
	return x.k
}

// maker makes tensors, or with no device only lists them, so that a plan and
// the allocation are one piece of code.
type maker struct {
	dev   gpu.Device
	views []gpu.Tensor // unless nil, larger tensors of the same names, of which views are made
	// sliding: what the views are of has room for bounds of a sliding window, whether or not theirs is narrower.
	sliding bool
	specs   []gpu.Spec
	made    []gpu.Tensor
	err     error
}

func (m *maker) tensor(class gpu.Class, dtype gpu.DType, name string, shape ...int) gpu.Tensor {
	s := gpu.Spec{Name: name, Class: class, DType: dtype, Shape: shape}
	m.specs = append(m.specs, s)
	if m.views != nil {
		return m.view(s)
	}
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

// view is of the larger tensor of that name.
func (m *maker) view(s gpu.Spec) gpu.Tensor {
	for _, t := range m.views {
		if t.Name == s.Name && s.Bytes() <= t.Bytes() {
			return t.As(s, 0)
		}
	}
	if m.err == nil {
		m.err = fmt.Errorf("there is no tensor %s of %d bytes to be seen as a smaller one", s.Name, s.Bytes())
	}
	return gpu.Tensor{}
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
	a.dev, a.all, a.l, a.loads = dev, m.made, l, new(int)
	if m.err != nil {
		a.Free()
		return nil, m.err
	}
	if err := a.writeAngles(dev, l, s.SeqLen); err != nil {
		a.Free()
		return nil, err
	}
	return a, nil
}

// Windows is the same for windows of so many positions, fewer than SeqLen (0: as many): views of its tensors, made
// once. A micro-batch whose windows are short so costs what it has.
func (a *Activations) Windows(positions int) (*Activations, error) {
	if positions == 0 || positions == a.SeqLen {
		return a, nil
	}
	if positions < 0 || positions > a.SeqLen {
		return nil, fmt.Errorf("windows of %d positions: there is room for %d", positions, a.SeqLen)
	}
	if v := a.short[positions]; v != nil {
		return v, nil
	}
	s := a.Size
	s.SeqLen, s.HeadRows = positions, min(s.HeadRows, s.Batch*positions)
	m := &maker{views: a.all, sliding: a.window > 0}
	v := makeActivations(m, a.l, s)
	if m.err != nil {
		return nil, m.err
	}
	v.dev, v.loads = a.dev, a.loads
	if a.short == nil {
		a.short = map[int]*Activations{}
	}
	a.short[positions] = v
	return v, nil
}

// writeAngles fills the tables of angles of so many positions.
func (a *Activations) writeAngles(dev gpu.Device, l Layout, positions int) error {
	cos, sin := l.RopeTables(positions)
	if err := gpu.WriteF32(dev, a.cos, cos); err != nil {
		return err
	}
	return gpu.WriteF32(dev, a.sin, sin)
}

// activationMaker makes the tensors of a layout's activations at a size.
type activationMaker struct {
	*maker
	l      Layout
	s      Size
	stored gpu.DType
}

func (m activationMaker) act(name string, shape ...int) gpu.Tensor {
	return m.tensor(gpu.Activations, m.stored, name, shape...)
}

func (m activationMaker) stat(name string, shape ...int) gpu.Tensor {
	return m.tensor(gpu.Activations, gpu.F32, name, shape...)
}

func (m activationMaker) scratch(name string, shape ...int) gpu.Tensor {
	return m.tensor(gpu.Scratch, m.stored, name, shape...)
}

func (m activationMaker) wide(name string, shape ...int) gpu.Tensor {
	return m.tensor(gpu.Scratch, gpu.F32, name, shape...)
}

func (m activationMaker) index(name string, n int) gpu.Tensor {
	return m.tensor(gpu.Scratch, gpu.U32, name, n)
}

// block makes one block's tensors but for its input.
func (m activationMaker) block(name func(string) string, lora bool) blockActivations {
	rows, c, f, hd, kd := m.s.Rows(), m.l.Hidden, m.l.FFN, m.l.QDim(), m.l.KVDim()
	x := blockActivations{
		mid: m.act(name("mid"), rows, c), h1: m.act(name("h1"), rows, c), h2: m.act(name("h2"), rows, c),
		rstd1: m.stat(name("rstd1"), rows), rstd2: m.stat(name("rstd2"), rows),
		q: m.act(name("q"), rows, hd), attn: m.act(name("attn"), rows, hd),
		k: m.act(name("k"), rows, kd), v: m.act(name("v"), rows, kd),
		lse:  m.stat(name("lse"), m.s.Batch, m.l.Heads, m.s.SeqLen),
		gate: m.act(name("gate"), rows, f), up: m.act(name("up"), rows, f), act: m.act(name("act"), rows, f),
	}
	if m.l.QKNorm {
		x.rawQ, x.rstdQ = m.act(name("q_raw"), rows, hd), m.stat(name("rstd_q"), rows*m.l.Heads)
		x.rawK, x.rstdK = m.act(name("k_raw"), rows, kd), m.stat(name("rstd_k"), rows*m.l.KVHeads)
	}
	for _, linear := range LinearNames() {
		u := gpu.Tensor{}
		if lora && slices.Contains(m.l.LoRA.Targets, linear) {
			u = m.act(name(linear+".u"), rows, m.l.LoRA.Rank)
		}
		x.u = append(x.u, u)
	}
	return x
}

// blocks makes those of all blocks, with their inputs.
func (m activationMaker) blocks(train bool) (list []blockActivations) {
	rows, c := m.s.Rows(), m.l.Hidden
	shared := func(name string) string { return "block." + name }
	switch {
	case !train: // all blocks share one set, input and output too
		x := m.block(shared, false)
		x.x = m.act(shared("x"), rows, c)
		return []blockActivations{x}
	case m.s.Recompute: // all but the inputs
		x := m.block(shared, m.l.wrapped())
		for _, b := range m.l.Blocks {
			x.x = m.act(b.Name("x"), rows, c)
			list = append(list, x)
		}
	default:
		for _, b := range m.l.Blocks {
			x := m.block(b.Name, b.Wrapped)
			x.x = m.act(b.Name("x"), rows, c)
			list = append(list, x)
		}
	}
	return list
}

func makeActivations(tensors *maker, l Layout, s Size) *Activations {
	if s.HeadRows == 0 {
		s.HeadRows = DefaultHeadRows(l.Config, s)
	}
	s.HeadRows = min(s.HeadRows, s.Rows())
	m := activationMaker{tensors, l, s, dtypeOf(l.Storage.Precision)}
	rows, c, f, hd, kd := s.Rows(), l.Hidden, l.FFN, l.QDim(), l.KVDim()
	a := &Activations{Size: s, train: !l.Inference}
	if l.Window < s.SeqLen || tensors.sliding {
		a.window = l.Window
	}
	a.ids, a.targets = m.index("batch.ids", rows), m.index("batch.targets", rows)
	if a.train {
		a.tokens, a.starts = m.index("batch.tokens", rows), m.index("batch.starts", rows+1)
		a.order = m.index("batch.order", rows)
	}
	a.cos, a.sin = m.wide("rope.cos", s.SeqLen, l.HeadDim()/2), m.wide("rope.sin", s.SeqLen, l.HeadDim()/2)
	a.blocks = m.blocks(a.train)
	if l.wrapped() {
		// The scratch of backward; without training, forward's.
		a.du = m.scratch("du", rows, l.LoRA.Rank)
	}
	if a.train {
		a.out = m.act("out", rows, c)
	} else {
		a.out = a.blocks[0].x
	}
	a.normed, a.rstd = m.act("normed", rows, c), m.stat("rstd", rows)
	a.logits, a.losses = m.wide("logits", s.HeadRows, l.Vocab), m.wide("losses", rows)
	a.Stats = m.wide("stats", wgsl.StatWords)
	if a.train {
		a.dx, a.dh = m.scratch("dx", rows, c), m.scratch("dh", rows, c)
		a.dq, a.dout = m.scratch("dq", rows, hd), m.scratch("dout", rows, hd)
		a.dk, a.dv = m.scratch("dk", rows, kd), m.scratch("dv", rows, kd)
		if l.QKNorm {
			a.dRawK, a.headSums = m.scratch("dk_raw", rows, kd), m.wide("head_norm.sums", hd)
		}
		if !a.bounded() {
			a.delta = m.wide("delta", s.Batch, l.Heads, s.SeqLen)
		}
		a.dact, a.dgate, a.dup = m.scratch("dact", rows, f), m.scratch("dgate", rows, f), m.scratch("dup", rows, f)
	}
	m.documents(a)
	if words := l.splitWords(rows); a.train && words > 0 {
		a.slices = m.tensor(gpu.Scratch, gpu.U32, "lora.slices", words)
	}
	if l.hasInt8() {
		a.frozen = m.tensor(gpu.Scratch, gpu.U32, "frozen.dense", l.largestLinear(m.stored))
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
	return &a.blocks[min(i, len(a.blocks)-1)] // without training there is one for all, unless they have caches
}

// next is where block i's output goes: the next block's input.
func (a *Activations) next(i int) gpu.Tensor {
	if !a.train || i+1 == len(a.blocks) {
		return a.out
	}
	return a.blocks[i+1].x
}

// Load writes a micro-batch to the device: B T inputs and targets, row-major, of which a target
// of data.Ignored does not count. begins says where documents begin, nil: every window is one; tokens,
// starts and order group the input positions by id for the embedding's gradient; all as data.Batch has
// them. The latter are not read where nothing trains.
func (a *Activations) Load(inputs, targets, begins, tokens, starts, order []uint32) error {
	if len(inputs) != a.Rows() || len(targets) != a.Rows() {
		return fmt.Errorf("batch of %d inputs and %d targets for %d rows", len(inputs), len(targets), a.Rows())
	}
	if err := a.loadDocuments(begins); err != nil {
		return err
	}
	*a.loads++
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
func (a *Activations) Loads() int { return *a.loads }

// Losses reads the natural-log loss of every target, 0 where ignored.
func (a *Activations) Losses() ([]float32, error) { return gpu.ReadF32(a.dev, a.losses) }
