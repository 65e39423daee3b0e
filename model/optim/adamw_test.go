package optim

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
)

var small = model.Config{Hidden: 8, FFN: 12, Layers: 2, Heads: 2, KVHeads: 1, Vocab: 10, MaxSeqLen: 4, NormEps: 1e-5,
	RopeTheta: 10000}

// grown is a layout with everything that decides who has state: a frozen block
// with adapters and fixed norms, one that trains, and a fixed embedding.
func grown() model.Layout {
	l := model.Plain(small, 2)
	l.Blocks[0].Frozen, l.Blocks[0].Wrapped = true, true
	l.LoRA = model.LoRALayout{Rank: 3, Alpha: 3, Targets: []string{"wq", "down"}}
	l.TrainEmbedding, l.TrainNorms = false, false
	return l
}

var adamw = Config{Settings: AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8}, MaxNorm: 1}

// newOptimizer is one with memory for a model.
func newOptimizer(t *testing.T, c Config, m *model.Model) Optimizer {
	t.Helper()
	o := c.New()
	if err := o.Allocate(m); err != nil {
		t.Fatal(err)
	}
	return o
}

// The bytes per parameter that the field's literature gives to each kind of
// states are the bytes that are allocated.
func TestBytesPerParameter(t *testing.T) {
	// No row needs padding, and 32 divides every size; alignment makes no difference.
	c := model.Config{Hidden: 512, FFN: 1024, Layers: 2, Heads: 8, KVHeads: 8, Vocab: 256, MaxSeqLen: 8, NormEps: 1e-5,
		RopeTheta: 1e4}
	for _, x := range []struct {
		s                 model.Storage
		trainable, frozen float64
	}{
		{model.FullStorage, 16, 4},
		{model.Storage{Precision: model.BF16, States: model.PaperStates, Gradients: model.BF16, Release: false,
			Frozen: model.BF16}, 16, 2},
		{model.Storage{Precision: model.BF16, States: model.PaperStates, Gradients: model.F32, Release: false,
			Frozen: model.BF16}, 18, 2},
		{model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Release: false,
			Frozen: model.BF16}, 14, 2},
		{model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Release: true,
			Frozen: model.BF16}, 12, 2},
		{model.Storage{Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16, Release: false,
			Frozen: model.BF16}, 7.125, 2},
		{model.Storage{Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16, Release: true,
			Frozen: model.BF16}, 5.125, 2},
		{model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Release: false,
			Frozen: model.Int8}, 14, 1.0625},
	} {
		if got := adamw.TrainableBytes(x.s); got != x.trainable {
			t.Errorf("%+v: %g bytes per trainable parameter are declared, want %g", x.s, got, x.trainable)
		}
		if got := x.s.FrozenBytes(); got != x.frozen {
			t.Errorf("%+v: %g bytes per frozen parameter are declared, want %g", x.s, got, x.frozen)
		}
		l := model.Plain(c, 2)
		l.Storage = x.s
		l.Blocks[0].Frozen, l.Blocks[0].Int8 = true, x.s.Frozen == model.Int8
		var trainable, frozen float64 // of linears
		var bytes int64
		slab := int64(0)
		for _, p := range l.Params() {
			n := float64(p.Weight.Elements())
			if p.Trains() {
				trainable += n
				for _, s := range adamw.New().Specs(x.s, p) {
					bytes += s.Bytes()
				}
			} else {
				frozen += n
			}
		}
		for _, s := range l.Specs() {
			if s.Name == "gradients" {
				slab = s.Bytes()
			}
			bytes += s.Bytes()
		}
		if x.s.Release != (slab > 0) {
			t.Errorf("%+v: a slab of %d bytes", x.s, slab)
		}
		if want := trainable*x.trainable + frozen*x.frozen + float64(slab); float64(bytes) != want {
			t.Errorf("%+v: %d bytes are planned, the declared ones make %g", x.s, bytes, want)
		}
	}
}

func TestStateIsThePlan(t *testing.T) {
	for name, l := range map[string]model.Layout{"plain": model.Plain(small, 2), "grown": grown()} {
		d := gpu.NewHost()
		m, err := model.New(d, l)
		if err != nil {
			t.Fatal(err)
		}
		o := newOptimizer(t, adamw, m)
		if off := d.Ledger().Difference(gpu.Plan(l.Specs(), adamw.Specs(l))); off != "" {
			t.Errorf("%s: %s", name, off)
		}
		trainable, _ := l.Count()
		elements := 0
		planes, _ := o.State()
		for _, s := range planes {
			elements += s.Elements()
		}
		if int64(elements) != 2*trainable {
			t.Errorf("%s: %d moments for %d trainable parameters", name, elements, trainable)
		}
		o.Free()
		if off := d.Ledger().Difference(gpu.Plan(l.Specs())); off != "" {
			t.Errorf("%s, freed: %s", name, off)
		}
	}
}

func TestNothingTrains(t *testing.T) {
	d := gpu.NewHost()
	m, err := model.New(d, model.Plain(small, 1).ForInference())
	if err != nil {
		t.Fatal(err)
	}
	if err := adamw.New().Allocate(m); err == nil || !strings.Contains(err.Error(), "every parameter is frozen") {
		t.Errorf("error %v", err)
	}
}

// values of every parameter, by name.
func values(t *testing.T, d gpu.Device, m *model.Model) map[string][]float32 {
	t.Helper()
	list := map[string][]float32{}
	for _, p := range m.Params() {
		list[p.Name] = gputest.Read(t, d, p.Weight)
	}
	return list
}

// Three steps against the formulas in float64: rates by parameter, the norm over
// all gradients, bias correction by the step's number. Then one whose norm is not
// finite, which changes nothing.
func TestStep(t *testing.T) {
	rates := func(p *model.Param) Rates {
		r := Rates{LR: 0.01}
		if p.Role.LoRA() {
			r.LR = 0.03
		}
		if p.Role.Decays() {
			r.Decay = 0.1
		}
		return r
	}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		m, err := model.New(d, grown())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Free)
		if err := m.Init(1, nil); err != nil {
			t.Fatal(err)
		}
		o := newOptimizer(t, adamw, m)
		t.Cleanup(o.Free)
		stats := gputest.Tensor(t, d, "stats", nil, 8)
		step := func(gradient func() float32) map[string][]float32 {
			grads := map[string][]float32{}
			for _, p := range m.Params() {
				if p.Trainable() {
					g := make([]float32, p.Grad.Elements())
					for i := range g {
						g[i] = gradient()
					}
					if err := gpu.WriteF32(d, p.Grad, g); err != nil {
						t.Fatal(err)
					}
					grads[p.Name] = g
				}
			}
			p := d.Begin("step")
			o.Step(p, stats, rates)
			if err := p.End(); err != nil {
				t.Fatal(err)
			}
			return grads
		}

		start := values(t, d, m)
		w, first, second := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
		for name, x := range start {
			w[name], first[name], second[name] = make([]float64, len(x)), make([]float64, len(x)), make([]float64,
				len(x))
			for i := range x {
				w[name][i] = float64(x[i])
			}
		}
		g := rand.New(rand.NewPCG(3, 3))
		for n, size := range []float64{1, 0.001, 0.1} { // clipped, not clipped
			norm := 0.0
			grads := step(func() float32 { return float32(g.NormFloat64() * size) })
			for _, x := range grads {
				for _, v := range x {
					norm += float64(v) * float64(v)
				}
			}
			scale := math.Min(1, adamw.MaxNorm/(math.Sqrt(norm)+1e-6))
			for _, p := range m.Params() {
				r := rates(p)
				for i, v := range grads[p.Name] {
					x := float64(v) * scale
					a := 0.9*first[p.Name][i] + 0.1*x
					b := 0.95*second[p.Name][i] + 0.05*x*x
					first[p.Name][i], second[p.Name][i] = a, b
					a, b = a/(1-math.Pow(0.9, float64(n+1))), b/(1-math.Pow(0.95, float64(n+1)))
					w[p.Name][i] -= r.LR * (a/(math.Sqrt(b)+1e-8) + r.Decay*w[p.Name][i])
				}
			}
		}
		after := values(t, d, m)
		for name, x := range after {
			for i, v := range x {
				if want := w[name][i]; !(math.Abs(float64(v)-want) <= 1e-6+1e-5*math.Abs(want)) {
					t.Fatalf("%s[%d] is %g, want %g", name, i, v, want)
				}
			}
		}

		step(func() float32 { return float32(math.NaN()) })
		for name, x := range values(t, d, m) {
			for i, v := range x {
				if v != after[name][i] {
					t.Fatalf("%s[%d] was changed by a step without a norm", name, i)
				}
			}
		}
	})
}
