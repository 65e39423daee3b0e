package model

import (
	"fmt"

	"steplm/gpu"
	"steplm/wgsl"
	"steplm/wgsl/attention"
	"steplm/wgsl/matmul"
)

// Cache holds the keys and values of what the blocks have read, of so many positions, which sequences share as whoever
// fills it likes.
type Cache struct {
	Positions int
	dev       gpu.Device
	blocks    []cacheBlock
	all       []gpu.Tensor
}

// cacheBlock is one block's.
type cacheBlock struct {
	keys, values gpu.Tensor // (positions, K D), the keys turned
}

func makeCache(m *maker, l Layout, positions int) (blocks []cacheBlock) {
	dtype := dtypeOf(l.Storage.Precision)
	for _, b := range l.Blocks {
		blocks = append(blocks, cacheBlock{
			m.tensor(gpu.Cache, dtype, b.Name("keys"), positions, l.KVDim()),
			m.tensor(gpu.Cache, dtype, b.Name("values"), positions, l.KVDim()),
		})
	}
	return blocks
}

// CacheSpecs lists what NewCache would allocate.
func CacheSpecs(l Layout, positions int) []gpu.Spec {
	m := &maker{}
	makeCache(m, l, positions)
	return m.specs
}

// NewCache allocates the keys and values of so many positions.
func NewCache(dev gpu.Device, l Layout, positions int) (*Cache, error) {
	if positions < 1 {
		return nil, fmt.Errorf("a cache of %d positions: it must have 1 or more", positions)
	}
	s := CacheSpecs(l, positions)[0]
	if limit := dev.Limits().Binding; s.Bytes() > limit {
		return nil, fmt.Errorf("a cache of %d positions has %d bytes in a block, %s binds %d to a kernel: at most %d "+
			"positions fit", positions, s.Bytes(), dev.Name(), limit, limit/(s.Bytes()/int64(positions)))
	}
	m := &maker{dev: dev}
	c := &Cache{Positions: positions, dev: dev, blocks: makeCache(m, l, positions), all: m.made}
	if m.err != nil {
		c.Free()
		return nil, m.err
	}
	return c, nil
}

// Free releases every tensor.
func (c *Cache) Free() {
	for _, t := range c.all {
		c.dev.Free(t)
	}
	c.all = nil
}

// Row is one token of a sequence whose keys and values lie in a cache from First on, those of position i at First + i.
type Row struct {
	ID       uint32
	Position int // counted from 0
	First    int
}

// RowsSize bounds passes over rows.
type RowsSize struct {
	Most    int // rows of a pass
	Logits  int // of them with logits at once
	Context int // positions of a sequence; 0: the model's
}

// resolve fills in the context and refuses what cannot be.
func (s RowsSize) resolve(l Layout) (RowsSize, error) {
	if s.Context == 0 {
		s.Context = l.MaxSeqLen
	}
	switch {
	case s.Most < 1 || s.Logits < 1:
		return s, fmt.Errorf("passes over %d rows with logits of %d: both must be 1 or more", s.Most, s.Logits)
	case s.Context < 1 || s.Context > l.MaxSeqLen:
		return s, fmt.Errorf("a context of %d positions: it must be 1 to the model's %d", s.Context, l.MaxSeqLen)
	case s.Context > attention.MaxKeys:
		return s, fmt.Errorf("a context of %d positions: attention takes at most %d, choose fewer", s.Context,
			attention.MaxKeys)
	}
	return s, nil
}

// Rows is what a forward pass over rows of any sequences needs besides the model and a cache.
type Rows struct {
	RowsSize
	l     Layout
	cache *Cache
	dev   gpu.Device
	all   []gpu.Tensor
	sized map[rowsKey]*Activations
}

// rowsKey is a number of rows, and whether they decode.
type rowsKey struct {
	rows, logits int
	decode       bool
}

// rowTensors is what Activations has besides for Rows.
type rowTensors struct {
	decode bool
	places gpu.Tensor // (2, rows), see attention.Cached
	picked gpu.Tensor // (logit rows): which rows have logits
	last   gpu.Tensor // (logit rows, C): their last norm
}

// makeRows makes the tensors of passes over so many rows, of which some have logits.
func makeRows(tensors *maker, l Layout, rows, logits, context int) *Activations {
	s := Size{Batch: 1, SeqLen: rows, HeadRows: logits, Documents: Documents{Positions: PositionsRestart}}
	m := activationMaker{tensors, l, s, dtypeOf(l.Storage.Precision)}
	a := &Activations{Size: s, ids: m.index("rows.ids", rows), positions: m.index("rows.positions", rows)}
	half := l.HeadDim() / 2
	a.cos, a.sin = m.wide("rope.cos", context, half), m.wide("rope.sin", context, half)
	a.rowCos, a.rowSin = m.wide("rope.row_cos", rows, half), m.wide("rope.row_sin", rows, half)
	a.blocks = m.blocks(false)
	if l.wrapped() {
		a.du = m.scratch("du", rows, l.LoRA.Rank)
	}
	a.out = a.blocks[0].x
	a.normed, a.rstd = m.act("normed", rows, l.Hidden), m.stat("rstd", rows)
	a.rows.places = m.tensor(gpu.Scratch, gpu.U32, "rows.places", 2, rows)
	a.rows.picked, a.rows.last = m.index("rows.picked", logits), m.act("rows.last", logits, l.Hidden)
	a.logits = m.wide("logits", logits, l.Vocab)
	if l.hasInt8() {
		a.frozen = m.tensor(gpu.Scratch, gpu.U32, "frozen.dense", l.largestLinear(m.stored))
	}
	return a
}

// RowsSpecs lists what NewRows would allocate.
func RowsSpecs(l Layout, s RowsSize) ([]gpu.Spec, error) {
	s, err := s.resolve(l)
	if err != nil {
		return nil, err
	}
	m := &maker{}
	makeRows(m, l, s.Most, s.Logits, s.Context)
	return m.specs, nil
}

// NewRows allocates for passes of a size with a cache.
func NewRows(dev gpu.Device, l Layout, c *Cache, s RowsSize) (*Rows, error) {
	s, err := s.resolve(l)
	if err != nil {
		return nil, err
	}
	m := &maker{dev: dev}
	a := makeRows(m, l, s.Most, s.Logits, s.Context)
	r := &Rows{RowsSize: s, l: l, cache: c, dev: dev, all: m.made, sized: map[rowsKey]*Activations{}}
	if err = m.err; err == nil {
		err = a.writeAngles(dev, l, s.Context)
	}
	if err != nil {
		r.Free()
		return nil, err
	}
	return r, nil
}

// Free releases every tensor, but not the cache.
func (r *Rows) Free() {
	for _, t := range r.all {
		r.dev.Free(t)
	}
	r.all = nil
}

// of is views of the tensors for so many rows, made once.
func (r *Rows) of(key rowsKey) *Activations {
	a, ok := r.sized[key]
	if !ok {
		a = makeRows(&maker{views: r.all}, r.l, key.rows, key.logits, r.Context)
		a.dev, a.rows.decode = r.dev, key.decode
		shared := a.blocks[0]
		a.blocks = nil
		for _, c := range r.cache.blocks {
			shared.cache = c
			a.blocks = append(a.blocks, shared)
		}
		r.sized[key] = a
	}
	return a
}

// check refuses rows that have no place.
func (r *Rows) check(rows []Row) error {
	if len(rows) < 1 || len(rows) > r.Most {
		return fmt.Errorf("a pass over %d rows: there is room for 1 to %d", len(rows), r.Most)
	}
	for i, row := range rows {
		switch at := row.First + row.Position; {
		case int64(row.ID) >= int64(r.l.Vocab):
			return fmt.Errorf("id %d of row %d is not below the model's vocabulary of %d", row.ID, i, r.l.Vocab)
		case row.Position < 0 || row.Position >= r.Context:
			return fmt.Errorf("position %d of row %d is not below the context of %d", row.Position, i, r.Context)
		case row.First < 0 || at >= r.cache.Positions:
			return fmt.Errorf("row %d would lie at %d in a cache of %d positions", i, at, r.cache.Positions)
		}
	}
	return nil
}

// loadRows writes rows to the device.
func (a *Activations) loadRows(rows []Row) error {
	ids, positions, places := make([]uint32, len(rows)), make([]uint32, len(rows)), make([]uint32, 2*len(rows))
	for i, row := range rows {
		ids[i], positions[i] = row.ID, uint32(row.Position)
		places[i], places[len(rows)+i] = uint32(row.First), uint32(row.First+row.Position)
	}
	for _, x := range []struct {
		t gpu.Tensor
		w []uint32
	}{{a.ids, ids}, {a.positions, positions}, {a.rows.places, places}} {
		if err := a.dev.Write(x.t, 0, x.w); err != nil {
			return err
		}
	}
	return nil
}

// Run reads rows, whose keys and values then lie in the cache: those of what comes before a row in its sequence must be
// there, or among the rows before it. It returns the logits (V) of the rows that are picked, by their index, in order.
//
// decode says that the rows are one of a sequence and few, as where tokens are generated one by one, see matmul.Decode
// and attention.Decode: then as well as otherwise, a row gets the same bits whatever the other rows are.
func (m *Model) Run(r *Rows, rows []Row, decode bool, picked []int) ([]float32, error) {
	if err := r.check(rows); err != nil {
		return nil, err
	}
	rows = repeated(rows, r.Most)
	a := r.of(rowsKey{len(rows), r.Logits, decode})
	if err := a.loadRows(rows); err != nil {
		return nil, err
	}
	all := make([]float32, len(picked)*m.Vocab)
	for at := 0; at == 0 || at < len(picked); at += r.Logits {
		n := max(0, min(r.Logits, len(picked)-at))
		chosen := repeated(picked[at:at+n], r.Logits)
		some := r.of(rowsKey{len(rows), max(1, len(chosen)), decode})
		if n > 0 {
			if err := some.loadPicked(chosen); err != nil {
				return nil, err
			}
		}
		p := m.dev.Begin("rows")
		if at == 0 {
			m.Forward(p, a)
		}
		if n > 0 {
			wgsl.EmbedForward(p, some.rows.last, some.normed, some.rows.picked)
			some.product(p, some.logits, some.rows.last, m.Head.Weight,
				matmul.Shape{M: len(chosen), N: m.Vocab, K: m.Hidden})
		}
		if err := p.End(); err != nil {
			return nil, err
		}
		if err := gpu.ReadRows(m.dev, some.logits, 0, all[at*m.Vocab:(at+n)*m.Vocab]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// repeated repeats the last of a list until it has one of few lengths, at most so many: for each length a device makes
// bindings of its own, and keeps them. A row that is there twice writes the same twice.
func repeated[T any](list []T, most int) []T {
	n, step := len(list), 1
	for _, x := range [...]struct{ above, step int }{{4, 4}, {16, 8}, {64, 32}} {
		if n > x.above {
			step = x.step
		}
	}
	for n = min(most, (n+step-1)/step*step); len(list) < n; {
		list = append(list[:len(list):len(list)], list[len(list)-1])
	}
	return list
}

// loadPicked writes which rows have logits to the device.
func (a *Activations) loadPicked(picked []int) error {
	words := make([]uint32, len(picked))
	for i, row := range picked {
		if row < 0 || row >= a.Rows() {
			return fmt.Errorf("logits of row %d of %d", row, a.Rows())
		}
		words[i] = uint32(row)
	}
	return a.dev.Write(a.rows.picked, 0, words)
}

// CachedSpecs lists what NewCached would allocate.
func CachedSpecs(l Layout, positions int, s RowsSize) ([]gpu.Spec, error) {
	rows, err := RowsSpecs(l, s)
	return append(CacheSpecs(l, positions), rows...), err
}

// NewCached allocates a cache of so many positions, and what passes of a size over it need, where they fit beside the
// model and the device's own. Its caller frees both.
func NewCached(m *Model, positions int, s RowsSize) (*Cache, *Rows, error) {
	specs, err := CachedSpecs(m.Layout, positions, s)
	if err != nil {
		return nil, nil, err
	}
	if err := gpu.CheckFits(m.dev, gpu.Plan(m.dev.Own(), m.Layout.Specs(), specs)); err != nil {
		return nil, nil, err
	}
	c, err := NewCache(m.dev, m.Layout, positions)
	if err != nil {
		return nil, nil, err
	}
	r, err := NewRows(m.dev, m.Layout, c, s)
	if err != nil {
		c.Free()
		return nil, nil, err
	}
	return c, r, nil
}
