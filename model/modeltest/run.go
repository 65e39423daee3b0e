package modeltest

import (
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/wgsl"
)

// NewActivations makes activations, which the test frees.
func NewActivations(t *testing.T, m *model.Model, s model.Size) *model.Activations {
	t.Helper()
	a, err := model.NewActivations(m.Device(), m.Layout, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Free)
	return a
}

// Pass records calls in one pass and fails on its error.
func Pass(t *testing.T, m *model.Model, record func(p *gpu.Pass)) {
	t.Helper()
	p := m.Device().Begin(t.Name())
	record(p)
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
}

// Train runs the batches forward and backward, and
// returns scale * (the sum of all losses).
func Train(t *testing.T, m *model.Model, a *model.Activations, scale float32, batches ...Batch) float64 {
	t.Helper()
	for i, b := range batches {
		LoadBatch(t, a, b)
		Pass(t, m, func(p *gpu.Pass) {
			m.Forward(p, a)
			m.Backward(p, a, model.Gradients{Scale: scale, Accumulate: i > 0})
		})
	}
	return float64(scale) * float64(gputest.Read(t, m.Device(), a.Stats)[wgsl.StatLoss])
}

// LoadBatch puts a batch onto the device.
func LoadBatch(t *testing.T, a *model.Activations, b Batch) {
	t.Helper()
	if err := b.Onto(a); err != nil {
		t.Fatal(err)
	}
}

// Logits are those of every row, (rows, V).
func Logits(t *testing.T, m *model.Model, a *model.Activations, b Batch) []float32 {
	t.Helper()
	LoadBatch(t, a, b)
	x, err := m.Logits(a)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// MeanLoss is the loss of an evaluation.
func MeanLoss(t *testing.T, m *model.Model, a *model.Activations, b Batch) float64 {
	t.Helper()
	LoadBatch(t, a, b)
	Pass(t, m, func(p *gpu.Pass) {
		m.Forward(p, a)
		m.Loss(p, a)
	})
	losses, err := a.Losses()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, l := range losses {
		if b.Targets[i] == Ignored && l != 0 {
			t.Errorf("the ignored target %d has loss %g", i, l)
		}
		sum += float64(l)
	}
	return sum * float64(MeanScale(b))
}

// Gradients is every gradient by the parameter's name.
func Gradients(t *testing.T, m *model.Model) map[string][]float32 {
	t.Helper()
	all := map[string][]float32{}
	for _, p := range m.Params() {
		if p.Trainable() {
			all[p.Name] = gputest.Read(t, m.Device(), p.Grad)
		}
	}
	return all
}

// Weights is every weight by the parameter's name.
func Weights(t *testing.T, m *model.Model) map[string][]float32 {
	t.Helper()
	all := map[string][]float32{}
	for _, p := range m.Params() {
		all[p.Name] = gputest.Read(t, m.Device(), p.Weight)
	}
	return all
}

// Write32 writes values as a parameter's weight and, where it trains, its master.
func Write32(t *testing.T, m *model.Model, p *model.Param, values []float32) {
	t.Helper()
	if err := m.WriteRows(p, 0, values); err != nil {
		t.Fatal(err)
	}
}
