package modeltest

import (
	"testing"

	"steplm/model/hf"

	"steplm/gpu"
	"steplm/model"
)

// New makes a model whose every value is random: no norm one, no LoRA B
// zero, so that nothing hides.
func New(t *testing.T, d gpu.Device, l model.Layout, seed uint64) *model.Model {
	t.Helper()
	m, err := model.New(d, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Free)
	for _, p := range m.Params() {
		Write32(t, m, p, Scrambled(p.Weight.Spec, seed))
	}
	return m
}

// Scrambled is random values for a parameter, by its name.
func Scrambled(s gpu.Spec, seed uint64) []float32 {
	for _, c := range s.Name {
		seed = seed*31 + uint64(c)
	}
	g := Random(seed)
	values := make([]float32, s.Elements())
	for i := range values {
		if len(s.Shape) == 1 {
			values[i] = float32(1 + 0.2*g.NormFloat64())
		} else {
			values[i] = float32(0.3 * g.NormFloat64())
		}
	}
	return values
}

// Load loads a Hugging Face directory and makes it a layout's.
func Load(t *testing.T, d gpu.Device, dir string, layout func(model.Config) model.Layout) *model.Model {
	t.Helper()
	m, err := hf.Load(d, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Free)
	if err := m.Apply(layout(m.Config)); err != nil {
		t.Fatal(err)
	}
	return m
}

// Trainable is the layout of a whole model that trains.
func Trainable(c model.Config) model.Layout { return model.Plain(c, c.Layers) }

// Inference is the layout of a whole model that does not train.
func Inference(c model.Config) model.Layout { return model.Plain(c, c.Layers).ForInference() }

// WithStorage is a layout in a storage.
func WithStorage(l model.Layout, s model.Storage) model.Layout {
	l.Storage = s
	l.Blocks = append([]model.BlockLayout(nil), l.Blocks...)
	for i := range l.Blocks {
		l.Blocks[i].Int8 = l.Blocks[i].Frozen && s.Frozen == model.Int8
	}
	return l
}

// NewStored is New in a storage; int8 blocks are quantized from random
// values.
func NewStored(t *testing.T, d gpu.Device, l model.Layout) *model.Model {
	t.Helper()
	wide := l
	wide.Blocks = append([]model.BlockLayout(nil), l.Blocks...)
	for i := range wide.Blocks {
		wide.Blocks[i].Int8 = false
	}
	m := New(t, d, wide, 7)
	if err := m.Apply(l); err != nil {
		t.Fatal(err)
	}
	return m
}

// Unlike has grouped-query attention, no dimension twice, and an eps and theta
// that show when they are wrong.
func Unlike(tied bool) model.Config {
	return model.Config{Hidden: 24, FFN: 20, Layers: 3, Heads: 6, KVHeads: 2, Vocab: 29, MaxSeqLen: 9, NormEps: 1e-2,
		RopeTheta: 50, Tied: tied}
}

// Partly has a frozen block under LoRA, a trainable one under it, and a plain
// one.
func Partly(tied bool) model.Layout {
	l := model.Plain(Unlike(tied), 3)
	l.Blocks[0] = model.BlockLayout{ID: 4, Frozen: true, Wrapped: true}
	l.Blocks[2].Wrapped = true
	l.LoRA = model.LoRALayout{Rank: 2, Alpha: 3, Targets: model.LinearNames()}
	return l
}

// SmallConfig has grouped-query attention and no dimension twice.
func SmallConfig(tied bool) model.Config {
	return model.Config{Hidden: 16, FFN: 24, Layers: 3, Heads: 4, KVHeads: 2, Vocab: 11, MaxSeqLen: 32, NormEps: 1e-5,
		RopeTheta: 10000, Tied: tied}
}
