package model

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model/checkpoint"
	"steplm/wgsl"
)

// Batch is data.Batch, which this package does not know.
type Batch struct{ Inputs, Targets, Begins, Tokens, Starts, Order []uint32 }

// onto loads the batch.
func (b Batch) onto(a *Activations) error {
	return a.Load(b.Inputs, b.Targets, b.Begins, b.Tokens, b.Starts, b.Order)
}

// ignored is data.Ignored: a target that does not count.
const ignored = 0xFFFFFFFF

// random is a generator with a seed.
func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// newBatch groups the inputs as data.NewBatch does, written apart from it.
func newBatch(inputs, targets []uint32) Batch {
	b := Batch{Inputs: inputs, Targets: targets}
	for row := range inputs {
		b.Order = append(b.Order, uint32(row))
	}
	slices.SortStableFunc(b.Order, func(x, y uint32) int { return cmp.Compare(inputs[x], inputs[y]) })
	for i, row := range b.Order {
		if i == 0 || inputs[row] != inputs[b.Order[i-1]] {
			b.Tokens, b.Starts = append(b.Tokens, inputs[row]), append(b.Starts, uint32(i))
		}
	}
	b.Starts = append(b.Starts, uint32(len(inputs)))
	return b
}

// someBatch is a batch of ids below vocab with a few ignored targets, the same
// for the same seed.
func someBatch(seed uint64, s Size, vocab int) Batch {
	g := random(seed)
	inputs, targets := make([]uint32, s.Rows()), make([]uint32, s.Rows())
	for i := range inputs {
		inputs[i], targets[i] = g.Uint32N(uint32(vocab)), g.Uint32N(uint32(vocab))
		if i%7 == 5 {
			targets[i] = ignored
		}
	}
	return newBatch(inputs, targets)
}

// meanScale is one over the number of targets that count.
func meanScale(b Batch) float32 {
	n := 0
	for _, target := range b.Targets {
		if target != ignored {
			n++
		}
	}
	return 1 / float32(n)
}

// newModel makes a model whose every value is random: no norm one, no LoRA B
// zero, so that nothing hides.
func newModel(t *testing.T, d gpu.Device, l Layout, seed uint64) *Model {
	t.Helper()
	m, err := New(d, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Free)
	for _, p := range m.Params() {
		write32(t, m, p, scrambled(p.Weight.Spec, seed))
	}
	return m
}

// scrambled is random values for a parameter, by its name.
func scrambled(s gpu.Spec, seed uint64) []float32 {
	for _, c := range s.Name {
		seed = seed*31 + uint64(c)
	}
	g := random(seed)
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

// loadModel loads a Hugging Face directory and makes it a layout's.
func loadModel(t *testing.T, d gpu.Device, dir string, layout func(Config) Layout) *Model {
	t.Helper()
	m, err := LoadHF(d, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Free)
	if err := m.Apply(layout(m.Config)); err != nil {
		t.Fatal(err)
	}
	return m
}

func trainable(c Config) Layout { return Plain(c, c.Layers) }
func inference(c Config) Layout { return Plain(c, c.Layers).ForInference() }

func newActivations(t *testing.T, m *Model, s Size) *Activations {
	t.Helper()
	a, err := NewActivations(m.dev, m.Layout, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Free)
	return a
}

// pass records calls in one pass and fails on its error.
func pass(t *testing.T, m *Model, record func(p *gpu.Pass)) {
	t.Helper()
	p := m.dev.Begin(t.Name())
	record(p)
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
}

// train runs the batches forward and backward, and
// returns scale * (the sum of all losses).
func train(t *testing.T, m *Model, a *Activations, scale float32, batches ...Batch) float64 {
	t.Helper()
	for i, b := range batches {
		load(t, a, b)
		pass(t, m, func(p *gpu.Pass) {
			m.Forward(p, a)
			m.Backward(p, a, Gradients{Scale: scale, Accumulate: i > 0})
		})
	}
	return float64(scale) * float64(gputest.Read(t, m.dev, a.Stats)[wgsl.StatLoss])
}

func load(t *testing.T, a *Activations, b Batch) {
	t.Helper()
	if err := b.onto(a); err != nil {
		t.Fatal(err)
	}
}

func logits(t *testing.T, m *Model, a *Activations, b Batch) []float32 {
	t.Helper()
	load(t, a, b)
	x, err := m.Logits(a)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// meanLoss is the loss of an evaluation.
func meanLoss(t *testing.T, m *Model, a *Activations, b Batch) float64 {
	t.Helper()
	load(t, a, b)
	pass(t, m, func(p *gpu.Pass) {
		m.Forward(p, a)
		m.Loss(p, a)
	})
	losses, err := a.Losses()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for i, l := range losses {
		if b.Targets[i] == ignored && l != 0 {
			t.Errorf("the ignored target %d has loss %g", i, l)
		}
		sum += float64(l)
	}
	return sum * float64(meanScale(b))
}

// gradients is every gradient by the parameter's name.
func gradients(t *testing.T, m *Model) map[string][]float32 {
	t.Helper()
	all := map[string][]float32{}
	for _, p := range m.Params() {
		if p.Trainable() {
			all[p.Name] = gputest.Read(t, m.dev, p.Grad)
		}
	}
	return all
}

func weights(t *testing.T, m *Model) map[string][]float32 {
	t.Helper()
	all := map[string][]float32{}
	for _, p := range m.Params() {
		all[p.Name] = gputest.Read(t, m.dev, p.Weight)
	}
	return all
}

func write32(t *testing.T, m *Model, p *Param, values []float32) {
	t.Helper()
	if err := m.writeRows(p, 0, values); err != nil {
		t.Fatal(err)
	}
}

// hfNames maps the model's parameter names to those of the fixtures, adapters'
// too.
func hfNames(m *Model) map[string]string {
	names := map[string]string{}
	for hf, p := range m.hfParams() {
		names[p.Name] = hf
		for _, matrix := range []string{"a", "b"} {
			names[p.Name+".lora_"+matrix] = strings.TrimSuffix(hf, "weight") + "lora_" + strings.ToUpper(matrix) +
				".weight"
		}
	}
	return names
}

// bits fails unless both hold the same names with the same bits.
func bits(t *testing.T, what string, got, want map[string][]float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d tensors, want %d", what, len(got), len(want))
	}
	for name, w := range want {
		g := got[name]
		if len(g) != len(w) {
			t.Errorf("%s: %s has %d elements, want %d", what, name, len(g), len(w))
			continue
		}
		for i := range w {
			if math.Float32bits(g[i]) != math.Float32bits(w[i]) {
				t.Errorf("%s: element %d of %s is %g, want %g", what, i, name, g[i], w[i])
				break
			}
		}
	}
}

// comparison collects how much of its allowance each tensor used.
type comparison struct {
	worst float64
	line  string
}

// check fails unless every element is within rel times the largest element of
// want: float32 sums deviate by the size of what they add up.
func (c *comparison) check(t *testing.T, name string, got, want []float32, rel float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d elements, want %d", name, len(got), len(want))
		return
	}
	largest := 0.0
	for _, w := range want {
		largest = max(largest, math.Abs(float64(w)))
	}
	if largest == 0 {
		t.Errorf("%s: all zero, which shows nothing", name)
		return
	}
	c.within(t, name, got, want, rel*largest)
}

// within fails unless every element is within allowance.
func (c *comparison) within(t *testing.T, name string, got, want []float32, allowance float64) {
	t.Helper()
	used, at := -1.0, 0
	for i := range got {
		u := math.Abs(float64(got[i])-float64(want[i])) / allowance
		if u != u { // NaN
			u = math.Inf(1)
		}
		if u > used {
			used, at = u, i
		}
	}
	line := fmt.Sprintf("%s: element %d of %d is %g, want %g: %.1f%% of the allowance of %.2g", name, at, len(got),
		got[at], want[at], 100*used, allowance)
	if used > 1 {
		t.Error(line)
	}
	if used > c.worst {
		c.worst, c.line = used, line
	}
}

// report logs the worst element of all.
func (c *comparison) report(t *testing.T) {
	t.Helper()
	t.Log("worst: " + c.line)
}

// near fails unless got is within rel of want.
func near(t *testing.T, what string, got, want, rel float64) {
	t.Helper()
	if off := math.Abs(got-want) / math.Abs(want); !(off <= rel) {
		t.Errorf("%s is %.9g, want %.9g: off by %.2g relative, allowed %.2g", what, got, want, off, rel)
	}
}

// readTensors is every tensor of a safetensors file or directory.
func readTensors(t *testing.T, path string) map[string][]float32 {
	t.Helper()
	f, err := checkpoint.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string][]float32{}
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		all[name] = make([]float32, info.Elements())
		if err := f.ReadF32(name, 0, all[name]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func readJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(path))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, value); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
