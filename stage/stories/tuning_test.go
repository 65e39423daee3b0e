package stories

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/data"
	"steplm/data/datatest"
	"steplm/data/examples"
	"steplm/data/tokenizer"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/hf"
	"steplm/stage/eval"
	"steplm/stage/session"
	"steplm/stage/trainer"
)

// tuned is what the golden of instruction tuning says: of plain torch with transformers, agreed with by trl.
type tuned struct {
	Examples []struct {
		Instruction, Input, Output string
	}
	Float32 struct {
		PerExample []struct {
			Sum    float64 `json:"nll_sum"`
			Tokens int
		} `json:"per_example"`
		Padded []float64 `json:"padded_nll_sums"`
		Packed []float64 `json:"packed_nll_sums"`
		Mean   float64   `json:"token_weighted_mean"`
		Tokens int64
	}
}

type tunedSteps struct {
	Float32 struct {
		Losses []float64
		Norms  []float64              `json:"grad_norms"`
		After  float64                `json:"loss_after"`
		Weight map[string]tunedWeight `json:"weights"`
	}
}

type tunedWeight struct {
	Norm   float64
	First8 []float64
}

func readShared(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(datatest.Path(t, name))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// tunedSet is the golden's examples, and their tokenizer.
func tunedSet(t *testing.T, g tuned) (*examples.Set, *tokenizer.Documents) {
	t.Helper()
	tok, err := tokenizer.Load(datatest.Path(t, "golden_tasks/stories260K_tokenizer"))
	if err == nil {
		if tok, err = tok.WithEnd(""); err == nil {
			tok, err = tok.WithBegin("", true)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	documents := tokenizer.NewDocuments(tok, tokenizer.DocumentOptions{Begin: true})
	text, err := json.Marshal(g.Examples)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "examples.json")
	if err := os.WriteFile(path, []byte(lower(text)), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := examples.Read([]string{path}, examples.Options{Tokenizer: documents, SeqLen: 512})
	if err != nil || len(s.Examples) != 16 {
		t.Fatalf("%v, %v", s, err)
	}
	return s, documents
}

// lower spells the keys of records as Alpaca does.
func lower(text []byte) string {
	return strings.NewReplacer(`"Instruction":`, `"instruction":`, `"Input":`, `"input":`, `"Output":`,
		`"output":`).Replace(string(text))
}

// tunedSpec is the golden's run, in micro-batches of a size.
func tunedSpec(t *testing.T, batching string) session.Spec {
	s := session.TuningDefault()
	window, beta2, clip, none := 512, 0.999, 0.0, 0
	s.Model.Init, s.Model.SeqLen = datatest.Path(t, "models/stories260K"), &window
	s.Schedule.Steps, s.Schedule.BatchSize, s.Schedule.LR = 5, 4, []float64{1e-3}
	s.Schedule.Name, s.Schedule.Warmup = "constant", &none
	s.Optimizer.Beta2, s.Optimizer.ClipNorm, s.Optimizer.WeightDecay = &beta2, &clip, []float64{0}
	s.Memory.Precision, s.Tuning.Batching = model.F32, batching
	if batching == session.Packed {
		s.Model.Mask, s.Model.Positions = model.MaskDocuments, model.PositionsRestart
	}
	return s
}

// Losses of answers are the golden's, padded and packed: of every example, and over all by tokens.
func TestTunedLosses(t *testing.T) {
	var g tuned
	readShared(t, "golden_sft/losses.json", &g)
	set, _ := tunedSet(t, g)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m, err := hf.Open(d, datatest.Path(t, "models/stories260K"))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		for _, pack := range []bool{false, true} {
			size, want := model.Size{Batch: 2, SeqLen: 512}, g.Float32.Padded
			if pack {
				size.Documents = model.Documents{Mask: model.MaskDocuments, Positions: model.PositionsRestart}
				want = g.Float32.Packed
			}
			a, err := model.NewActivations(d, m.Layout, size)
			if err != nil {
				t.Fatal(err)
			}
			l := examples.Layout{BatchSize: 2, GradAccum: 1, SeqLen: 512, Pack: pack}
			windows := l.InOrder(set)
			for at := 0; at < len(windows); at += 2 {
				if at > 0 && inGo(d) {
					break
				}
				some := windows[at:min(len(windows), at+2)]
				b := l.Batch(set.Examples, some)
				short, err := a.Windows(b.SeqLen)
				if err != nil {
					t.Fatal(err)
				}
				losses, err := eval.OnDevice(m, short).Losses(b.Inputs, b.Targets, b.Begins)
				if err != nil {
					t.Fatal(err)
				}
				for w, list := range some {
					row := w * b.SeqLen
					for _, x := range list {
						sum := 0.0
						for range set.Examples[x].IDs {
							sum += float64(losses[row])
							row++
						}
						n := float64(g.Float32.PerExample[x].Tokens)
						if diff := math.Abs(sum-want[x]) / n; diff > 1e-5 {
							t.Errorf("packed %t, example %d: %.7f, want %.7f, %.2g a token off", pack, x, sum,
								want[x], diff)
						}
					}
				}
			}
			if inGo(d) {
				a.Free()
				continue
			}
			r, err := eval.Examples("golden", set, pack).Run(t.Context(), eval.OnDevice(m, a), eval.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if mean := r.Value("nll") / float64(r.Tokens()); math.Abs(mean-g.Float32.Mean) > 1e-5 ||
				r.Tokens() != g.Float32.Tokens || r.Count("documents") != 16 {
				t.Errorf("packed %t: %.7f a token of %d, want %.7f of %d", pack, mean, r.Tokens(), g.Float32.Mean,
					g.Float32.Tokens)
			}
			a.Free()
		}
	})
}

// inGo tells of plain Go, whose runs are slow: it is shown the beginning alone. Kernels are compared with it elsewhere.
func inGo(d gpu.Device) bool { return d.Name() == gpu.NewHost().Name() }

// inOrder hands out the golden's batches: four examples, or the windows that they are packed into.
type inOrder struct {
	set    *examples.Set
	layout examples.Layout
	at     int
}

func (b *inOrder) Skip(ctx context.Context) error {
	_, err := b.Next(ctx)
	return err
}

func (b *inOrder) Next(context.Context) (data.Batch, error) {
	some := b.set.Examples[b.at*4%16:][:4]
	b.at++
	l := b.layout
	return l.Batch(some, l.InOrder(&examples.Set{Examples: some})), nil
}

func (b *inOrder) Cursor() data.Cursor      { return data.Cursor{Windows: int64(b.at)} }
func (b *inOrder) Seek(c data.Cursor) error { b.at = int(c.Windows); return nil }

// Five steps have the golden's losses, norms and weights, padded and packed: a step's loss and gradient are over its
// tokens, not means of its examples' means.
func TestTunedSteps(t *testing.T) {
	var g tuned
	var steps tunedSteps
	readShared(t, "golden_sft/losses.json", &g)
	readShared(t, "golden_sft/steps.json", &steps)
	set, _ := tunedSet(t, g)
	want := steps.Float32
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		for _, batching := range gputest.Sample([]string{session.Padded, session.Packed}) {
			r, err := tunedSpec(t, batching).Recipe(512)
			if err != nil {
				t.Fatal(err)
			}
			_, files, err := hf.OpenWhole(datatest.Path(t, "models/stories260K"))
			if err != nil {
				t.Fatal(err)
			}
			defer files.Close()
			b := &inOrder{set: set, layout: examples.Layout{BatchSize: 4, GradAccum: 1, SeqLen: 512,
				Pack: batching == session.Packed}}
			tr, err := trainer.NewFrom(d, r, b, files)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want.Losses {
				if i > 0 && inGo(d) {
					break
				}
				m, err := tr.Step(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if math.Abs(m.Loss-want.Losses[i]) > 1e-5 || math.Abs(m.GradNorm/want.Norms[i]-1) > 1e-5 {
					t.Errorf("%s, step %d: loss %.7f, norm %.7f, want %.7f, %.7f", batching, m.Step, m.Loss, m.GradNorm,
						want.Losses[i], want.Norms[i])
				}
			}
			if !inGo(d) {
				checkWeights(t, batching, tr.Model, want.Weight)
			}
			tr.Free()
		}
	})
}

// checkWeights compares every weight's norm and first values.
func checkWeights(t *testing.T, batching string, m *model.Model, want map[string]tunedWeight) {
	t.Helper()
	w, err := m.Merged()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Free()
	for name, x := range want {
		shape, ok := w.Shape(name)
		if !ok {
			t.Errorf("%s: there is no %s", batching, name)
			continue
		}
		n := 1
		for _, d := range shape {
			n *= d
		}
		values, sum := make([]float32, n), 0.0
		if err := w.ReadF32(name, 0, values); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			sum += float64(v) * float64(v)
		}
		if norm := math.Sqrt(sum); math.Abs(norm-x.Norm) > 1e-5 {
			t.Errorf("%s: the norm of %s is %.7f, want %.7f", batching, name, norm, x.Norm)
		}
		for i, v := range x.First8 {
			if math.Abs(float64(values[i])-v) > 2e-6 {
				t.Errorf("%s: %s has %.7f at %d, want %.7f", batching, name, values[i], i, v)
			}
		}
	}
	if len(want) < 40 {
		t.Errorf("%d tensors were compared", len(want))
	}
}
