package model_test

import (
	"math"
	"slices"
	"testing"

	"steplm/data/datatest"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/modeltest"
)

// Six steps of one linear under LoRA against peft and torch's AdamW: the shared data's
// golden_methods, whose README has the tolerance. AdamW is the test's own, in float64.
func TestLoRAGolden(t *testing.T) {
	type numbers struct {
		Shape []int
		Data  []float32
	}
	type goldenStep struct {
		Step                int
		Y, DA, DB, DX, A, B numbers // A and B after the step
	}
	var problem struct{ Init map[string]numbers }
	modeltest.ReadJSON(t, datatest.Path(t, "golden_methods/problem.json"), &problem)
	var golden struct {
		Hyper struct {
			R     int
			Alpha float64
			LR    float64
			Betas [2]float64
			Eps   float64
		}
		A0          numbers
		X, Upstream numbers // of every step
		Steps       []goldenStep
		Merged      numbers `json:"merged_W_after_step_6"`
	}
	modeltest.ReadJSON(t, datatest.Path(t, "golden_methods/lora.json"), &golden)
	w, h := problem.Init["W1"], golden.Hyper
	out, in, rows := w.Shape[0], w.Shape[1], golden.X.Shape[1]

	// The linear is up: (F, C).
	l := model.Plain(model.Config{
		Hidden: in, FFN: out, Layers: 1, Heads: 2, KVHeads: 2, Vocab: 8, MaxSeqLen: rows,
		NormEps: 1e-5, RopeTheta: 10000,
	}, 1)
	l.Blocks[0].Frozen, l.Blocks[0].Wrapped = true, true
	l.LoRA = model.LoRALayout{Rank: h.R, Alpha: h.Alpha, Targets: []string{"up"}}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m := modeltest.New(t, d, l, 1)
		a := modeltest.NewActivations(t, m, model.Size{Batch: 1, SeqLen: rows})
		up, x := m.Blocks[0].Up, a.Up()
		modeltest.Write32(t, m, up.Param, w.Data)
		modeltest.Write32(t, m, up.LoRA.A, golden.A0.Data)
		modeltest.Write32(t, m, up.LoRA.B, make([]float32, out*h.R))
		optimizers := map[*model.Param]*adam64{up.LoRA.A: adam(golden.A0.Data),
			up.LoRA.B: adam(make([]float32, out*h.R))}
		var c modeltest.Comparison
		compared := 0
		check := func(name string, got gpu.Tensor, want numbers) {
			t.Helper()
			largest := 0.0
			for _, v := range want.Data {
				largest = max(largest, math.Abs(float64(v)))
			}
			c.Within(t, name, gputest.Read(t, d, got), want.Data, max(1e-5*largest, 1e-30))
			compared++
		}
		for step := range golden.X.Shape[0] {
			for _, from := range []struct {
				to gpu.Tensor
				n  numbers
			}{{x.In, golden.X}, {x.DOut, golden.Upstream}} {
				n := from.to.Elements()
				if err := gpu.WriteF32(d, from.to, from.n.Data[step*n:][:n]); err != nil {
					t.Fatal(err)
				}
			}
			modeltest.Pass(t, m, func(p *gpu.Pass) {
				m.ForwardUp(p, a)
				m.BackwardUp(p, a)
			})
			at := slices.IndexFunc(golden.Steps, func(s goldenStep) bool { return s.Step == step+1 })
			if at >= 0 {
				check("y", x.Out, golden.Steps[at].Y)
				check("dx", x.DIn, golden.Steps[at].DX)
				check("dA", up.LoRA.A.Grad, golden.Steps[at].DA)
				check("dB", up.LoRA.B.Grad, golden.Steps[at].DB)
			}
			for p, o := range optimizers {
				modeltest.Write32(t, m, p, o.step(gputest.Read(t, d, p.Grad), h.LR, h.Betas, h.Eps))
			}
			if at >= 0 {
				check("A", up.LoRA.A.Weight, golden.Steps[at].A)
				check("B", up.LoRA.B.Weight, golden.Steps[at].B)
			}
		}
		mixer, err := m.NewMixer()
		if err != nil {
			t.Fatal(err)
		}
		defer mixer.Free()
		modeltest.Pass(t, m, func(p *gpu.Pass) { mixer.Merge(p, m.Blocks[0]) })
		check("merged", up.Weight, golden.Merged)
		if want := 6*len(golden.Steps) + 1; compared != want || len(golden.Steps) != 3 {
			t.Errorf("%d tensors of %d steps were compared", compared, len(golden.Steps))
		}
		c.Report(t)
	})
}

// adam64 is AdamW without decay, in float64.
type adam64 struct {
	w, m, v []float64
	t       float64
}

func adam(w []float32) *adam64 {
	o := &adam64{m: make([]float64, len(w)), v: make([]float64, len(w))}
	for _, x := range w {
		o.w = append(o.w, float64(x))
	}
	return o
}

func (o *adam64) step(grad []float32, lr float64, betas [2]float64, eps float64) []float32 {
	o.t++
	next := make([]float32, len(grad))
	for i, g := range grad {
		g := float64(g)
		o.m[i] = betas[0]*o.m[i] + (1-betas[0])*g
		o.v[i] = betas[1]*o.v[i] + (1-betas[1])*g*g
		m, v := o.m[i]/(1-math.Pow(betas[0], o.t)), o.v[i]/(1-math.Pow(betas[1], o.t))
		o.w[i] -= lr * m / (math.Sqrt(v) + eps)
		next[i] = float32(o.w[i])
	}
	return next
}
