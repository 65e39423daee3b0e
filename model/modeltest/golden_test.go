package modeltest

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
)

// What the fixtures' gradients, computed in float64 and rounded to float32, may
// differ: float32 programs were seen to stay within 1.3e-6 of a tensor's
// largest element (see stage/trainer/testdata/growth/README.md).
const (
	gradientTolerance = 2e-5
	logitTolerance    = 2e-5
	lossTolerance     = 1e-6
)

// checkGradients compares every gradient with the fixture's of its name, and
// the trainable names with the fixture's.
func checkGradients(t *testing.T, m *model.Model, want map[string][]float32) {
	t.Helper()
	var c Comparison
	names := HFNames(m)
	got := Gradients(t, m)
	for name, g := range got {
		w, ok := want[names[name]]
		if !ok {
			t.Errorf("%s has a gradient, %s is not in the fixture", name, names[name])
			continue
		}
		c.Check(t, name, g, w, gradientTolerance)
	}
	if len(got) != len(want) {
		t.Errorf("%d gradients, the fixture has %d", len(got), len(want))
	}
	c.Report(t)
}

// tinyStep is testdata/tiny/step.json.
type tinyStep struct {
	BatchSize           int      `json:"batch_size"`
	SeqLen              int      `json:"seq_len"`
	Inputs              []uint32 `json:"inputs"`
	Targets             []uint32 `json:"targets"`
	Frozen              []string `json:"frozen"`
	Trainable           []string `json:"trainable"`
	Loss                float64  `json:"loss"`
	LossWithoutAdapters float64  `json:"loss_without_adapters"`
	GradNorm            float64  `json:"grad_norm"`
}

func (s tinyStep) size() model.Size { return model.Size{Batch: s.BatchSize, SeqLen: s.SeqLen} }
func (s tinyStep) batch() Batch     { return NewBatch(s.Inputs, s.Targets) }

// tinyLayout is the fixture's: the linears of block 0 frozen under LoRA.
func tinyLayout(c model.Config) model.Layout {
	l := Trainable(c)
	l.Blocks[0].Frozen, l.Blocks[0].Wrapped = true, true
	l.LoRA = model.LoRALayout{Rank: 3, Alpha: 6, Targets: model.LinearNames()}
	return l
}

// loadTiny is the fixture's model with its adapters.
func loadTiny(t *testing.T, d gpu.Device, layout func(model.Config) model.Layout) (*model.Model, tinyStep) {
	t.Helper()
	var step tinyStep
	ReadJSON(t, "testdata/tiny/step.json", &step)
	m := Load(t, d, "testdata/tiny", layout)
	names, adapters := HFNames(m), ReadTensors(t, "testdata/tiny/adapters.safetensors")
	for _, p := range m.Params() {
		if p.Role.LoRA() {
			Write32(t, m, p, adapters[names[p.Name]])
		}
	}
	return m, step
}

func TestTinyStep(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m, step := loadTiny(t, d, tinyLayout)
		a := NewActivations(t, m, step.size())
		before := Weights(t, m)
		Near(t, "loss", Train(t, m, a, MeanScale(step.batch()), step.batch()), step.Loss, lossTolerance)
		checkGradients(t, m, ReadTensors(t, "testdata/tiny/gradients.safetensors"))
		squares := 0.0
		for _, g := range Gradients(t, m) {
			for _, x := range g {
				squares += float64(x) * float64(x)
			}
		}
		Near(t, "gradient norm", math.Sqrt(squares), step.GradNorm, 1e-5)
		Bits(t, "weights after a step without an update", Weights(t, m), before)

		var c Comparison
		c.Check(t, "logits", Logits(t, m, a, step.batch()),
			ReadTensors(t, "testdata/tiny/logits.safetensors")["logits"], logitTolerance)
		c.Report(t)
	})
}

// Frozen is what has no gradient, and nothing else.
func TestTinyFrozen(t *testing.T) {
	m, step := loadTiny(t, gpu.NewHost(), tinyLayout)
	trains := map[string]bool{}
	names := HFNames(m)
	for _, p := range m.Params() {
		trains[names[p.Name]] = p.Trainable()
	}
	for _, name := range step.Frozen {
		if on, ok := trains[name]; on || !ok {
			t.Errorf("%s: trainable %t, known %t; it is frozen", name, on, ok)
		}
	}
	for _, name := range step.Trainable {
		if !trains[name] {
			t.Errorf("%s does not train", name)
		}
	}
	if n := len(step.Frozen) + len(step.Trainable); n != len(trains) {
		t.Errorf("%d parameters, the fixture has %d", len(trains), n)
	}
}

// An evaluation keeps one block's activations, and computes the same bits.
func TestTinyInference(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m, step := loadTiny(t, d, tinyLayout)
		want := Logits(t, m, NewActivations(t, m, step.size()), step.batch())
		if err := m.Apply(m.ForInference()); err != nil {
			t.Fatal(err)
		}
		a := NewActivations(t, m, step.size())
		got := Logits(t, m, a, step.batch())
		Bits(t, "inference", map[string][]float32{"logits": got}, map[string][]float32{"logits": want})
		Near(t, "loss", MeanLoss(t, m, a, step.batch()), step.Loss, lossTolerance)
		if err := m.Apply(Inference(m.Config)); err != nil {
			t.Fatal(err)
		}
		Near(t, "loss without adapters", MeanLoss(t, m, a, step.batch()), step.LossWithoutAdapters, lossTolerance)
	})
}

// growthData is where the fixtures of ten steps and a growth are; package
// stage replays them whole.
const growthData = "../../stage/trainer/testdata/growth/"

func TestVanillaGradients(t *testing.T) {
	var batches struct {
		BatchSize int `json:"batch_size"`
		SeqLen    int `json:"seq_len"`
		Vanilla   []struct{ Inputs, Targets []uint32 }
	}
	ReadJSON(t, growthData+"batches.json", &batches)
	b := NewBatch(batches.Vanilla[0].Inputs, batches.Vanilla[0].Targets)
	for _, c := range []struct{ model, result, gradients string }{
		{"initial", "vanilla.json", "vanilla_gradients.safetensors"},
		{"tied", "tied.json", "tied_gradients.safetensors"},
	} {
		t.Run(c.model, func(t *testing.T) {
			var want struct{ Losses []float64 }
			ReadJSON(t, growthData+c.result, &want)
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				m := Load(t, d, growthData+c.model, Trainable)
				a := NewActivations(t, m, model.Size{Batch: batches.BatchSize, SeqLen: batches.SeqLen})
				Near(t, "loss", Train(t, m, a, MeanScale(b), b), want.Losses[0], lossTolerance)
				checkGradients(t, m, ReadTensors(t, growthData+c.gradients))
				if c.model == "initial" {
					var c Comparison
					c.Check(t, "logits", Logits(t, m, a, b),
						ReadTensors(t, growthData+"vanilla_logits.safetensors")["logits"], logitTolerance)
					c.Report(t)
				}
			})
		})
	}
}

// stories260K was trained; its logits were computed by llama2.c in float32.
func TestStories260K(t *testing.T) {
	dir := datatest.Path(t, "models/stories260K")
	var golden struct {
		Sequences []struct {
			Name   string
			Tokens []uint32
		}
	}
	ReadJSON(t, filepath.Join(dir, "golden.json"), &golden)
	text, err := os.ReadFile(filepath.Join(dir, "golden_logits.f32"))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float32, len(text)/4)
	for i := range want {
		want[i] = math.Float32frombits(binary.LittleEndian.Uint32(text[4*i:]))
	}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m := Load(t, d, dir, Inference)
		var c Comparison
		at := 0
		for _, s := range golden.Sequences {
			a := NewActivations(t, m, model.Size{Batch: 1, SeqLen: len(s.Tokens)})
			n := len(s.Tokens) * m.Vocab
			c.Within(t, s.Name, Logits(t, m, a, NewBatch(s.Tokens, s.Tokens)), want[at:at+n], 1e-3)
			at += n
		}
		if at != len(want) || at != 283*m.Vocab {
			t.Errorf("%d logits compared of %d, want 283 positions", at, len(want))
		}
		c.Report(t)
	})
}

// tiny_llama's gradients are of the mean over three sequences, whose last
// positions have no target.
func TestTinyLlama(t *testing.T) {
	for name, files := range TinyLlama(t) {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) { testTinyLlama(t, d, files) })
		})
	}
}

func testTinyLlama(t *testing.T, d gpu.Device, dir string) {
	models := datatest.Path(t, "models/tiny_llama")
	var want struct {
		Sequences [][]uint32
		Logits    [][][]float32
	}
	ReadJSON(t, filepath.Join(models, "tiny_llama_logits.json"), &want)
	var golden struct {
		Sequences [][]uint32
		Loss      float64 `json:"mean_nll"`
		Grads     map[string]any
	}
	ReadJSON(t, filepath.Join(models, "tiny_llama_golden_grads.json"), &golden)

	s := model.Size{Batch: len(golden.Sequences), SeqLen: len(golden.Sequences[0])}
	var inputs, targets []uint32
	for _, ids := range golden.Sequences {
		inputs = append(inputs, ids...)
		targets = append(append(targets, ids[1:]...), Ignored)
	}
	b := NewBatch(inputs, targets)
	m := Load(t, d, dir, Trainable)
	a := NewActivations(t, m, s)
	Near(t, "loss", Train(t, m, a, MeanScale(b), b), golden.Loss, lossTolerance)
	grads := map[string][]float32{}
	for name, g := range golden.Grads {
		grads[name] = flat(t, g)
	}
	checkGradients(t, m, grads)

	var c Comparison
	var rows []float32
	for _, sequence := range want.Logits {
		for _, row := range sequence {
			rows = append(rows, row...)
		}
	}
	c.Check(t, "logits", Logits(t, m, a, b), rows, logitTolerance)
	c.Report(t)
}

// flat is the numbers of nested JSON arrays.
func flat(t *testing.T, x any) []float32 {
	t.Helper()
	switch x := x.(type) {
	case float64:
		return []float32{float32(x)}
	case []any:
		var all []float32
		for _, e := range x {
			all = append(all, flat(t, e)...)
		}
		return all
	}
	t.Fatalf("%T among gradients", x)
	return nil
}
