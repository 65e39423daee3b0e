package modeltest

import (
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
)

// options are the parts that only some families have, each by itself and all together.
var options = []struct {
	name string
	edit func(*model.Config)
}{
	{"biases of queries, keys and values", func(c *model.Config) { c.QKVBias = true }},
	{"all biases", func(c *model.Config) { c.QKVBias, c.OutBias, c.FFNBias = true, true, true }},
	{"head size", func(c *model.Config) { c.HeadSize = 6 }},
	{"norms of queries and keys", func(c *model.Config) { c.HeadSize, c.QKNorm = 8, true }},
	{"window", func(c *model.Config) { c.Window = 3 }},
	{"layers without rope", func(c *model.Config) { c.RopeLayers = "101" }},
	{"scaled rope", func(c *model.Config) { c.RopeScaling = model.RopeScaling{Type: model.RopeLinear, Factor: 3} }},
	{"all options", allOptions},
}

func allOptions(c *model.Config) {
	c.HeadSize, c.QKVBias, c.OutBias, c.FFNBias, c.QKNorm, c.Window = 16, true, true, true, true, 4
	c.RopeLayers, c.RopeScaling = "011", model.RopeScaling{Type: model.RopeLinear, Factor: 2}
}

// partlyWith is partly's layout of another configuration.
func partlyWith(edit func(*model.Config)) model.Layout {
	l := Partly(false)
	edit(&l.Config)
	for i := range l.Blocks {
		l.Blocks[i].NoRope = l.RopeLayers != "" && l.RopeLayers[i] == '0'
	}
	return l
}

func TestFiniteDifferencesOfOptions(t *testing.T) {
	for _, o := range options {
		testFiniteDifferences(t, o.name, partlyWith(o.edit))
	}
}

// A second forward in backward changes no bit, nor does the order in which parts of a batch come.
func TestOptionsRecomputed(t *testing.T) {
	l := partlyWith(allOptions)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		s := model.Size{Batch: 2, SeqLen: 9}
		b := SomeBatch(3, s, l.Vocab)
		m := New(t, d, l, 7)
		wantLoss := Train(t, m, NewActivations(t, m, s), MeanScale(b), b)
		want := Gradients(t, m)
		if want["blocks.2.wq_bias"] == nil || want["blocks.1.q_norm"] == nil || want["blocks.4.k_norm"] == nil {
			t.Fatal("options have no gradients")
		}
		if want["blocks.4.wq_bias"] != nil {
			t.Error("the bias of a frozen block has a gradient")
		}
		s.Recompute = true
		if loss := Train(t, m, NewActivations(t, m, s), MeanScale(b), b); loss != wantLoss {
			t.Errorf("loss %.9g, want %.9g", loss, wantLoss)
		}
		Bits(t, "recomputed", Gradients(t, m), want)
	})
}

// In bf16 the device computes what the host does, which rounds at the same places.
func TestOptionsInBF16(t *testing.T) {
	for _, o := range options {
		t.Run(o.name, func(t *testing.T) {
			l := partlyWith(o.edit)
			l.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
				Frozen: model.BF16}
			s := model.Size{Batch: 2, SeqLen: 9}
			b := SomeBatch(3, s, l.Vocab)
			step := func(d gpu.Device) (float64, map[string][]float32) {
				m := New(t, d, l, 7)
				return Train(t, m, NewActivations(t, m, s), MeanScale(b), b), Gradients(t, m)
			}
			wantLoss, want := step(gpu.NewHost())
			loss, got := step(gputest.Adapter(t))
			Near(t, "loss", loss, wantLoss, 2e-3)
			var worst Comparison
			for name := range want {
				worst.Check(t, name, got[name], want[name], 3e-2)
			}
			worst.Report(t)
		})
	}
}

// A window that holds all positions is none, bit for bit, and what comes before a window has no influence.
func TestWindow(t *testing.T) {
	l := model.Plain(Unlike(false), 3)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		s := model.Size{Batch: 1, SeqLen: 9}
		b := SomeBatch(5, s, l.Vocab)
		run := func(window int, b Batch) []float32 {
			l.Window = window
			m := New(t, d, l.ForInference(), 7)
			return Logits(t, m, NewActivations(t, m, s), b)
		}
		plain := run(0, b)
		Bits(t, "window of all", map[string][]float32{"logits": run(9, b)}, map[string][]float32{"logits": plain})
		narrow := run(2, b)
		other := b
		other.Inputs = slices.Clone(b.Inputs)
		other.Inputs[0] = (b.Inputs[0] + 1) % uint32(l.Vocab)
		// Three layers of windows of two reach three positions back.
		at := 4 * l.Vocab
		changed := run(2, other)
		Bits(t, "behind the windows", map[string][]float32{"logits": changed[at:]},
			map[string][]float32{"logits": narrow[at:]})
		if slices.Equal(changed[3*l.Vocab:at], narrow[3*l.Vocab:at]) || slices.Equal(narrow, plain) {
			t.Error("the window is no window")
		}
	})
}
