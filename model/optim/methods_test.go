package optim

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
)

// published are the optimizers as they were published, for a model, clipping to a norm.
func published(t *testing.T, c model.Config, maxNorm float64) (list []Config) {
	t.Helper()
	for _, name := range Names() {
		s, lr, err := Choose(name, c, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if !(lr > 0) {
			t.Errorf("%s has the learning rate %g", name, lr)
		}
		list = append(list, Config{s, maxNorm})
	}
	return list
}

// methodStorages are the kinds of states that every optimizer trains in.
var methodStorages = []model.Storage{
	model.FullStorage,
	{Precision: model.BF16, States: model.PaperStates, Gradients: model.BF16, Frozen: model.BF16},
	{Precision: model.BF16, States: model.SplitStates, Gradients: model.F32, Frozen: model.BF16},
	{Precision: model.BF16, States: model.StochasticStates, Gradients: model.BF16, Frozen: model.BF16},
}

// steppedBy gives a model's gradients values of a seed and updates it; release updates each
// parameter on its own.
func steppedBy(t *testing.T, d gpu.Device, m *model.Model, o Optimizer, seed uint64, release bool, spoilt string) {
	t.Helper()
	stats := gputest.Tensor(t, d, "stats", nil, 8)
	rates := func(*model.Param) Rates { return Rates{LR: 1e-3, Decay: 0.1} }
	var update func(*gpu.Pass, *model.Param)
	if release {
		update = o.Release(stats, rates)
	}
	for _, p := range m.Params() {
		if !p.Trainable() {
			continue
		}
		g := rand.New(rand.NewPCG(seed, uint64(len(p.Name))))
		values := make([]float32, p.Grad.Elements())
		for i := range values {
			values[i] = float32(g.NormFloat64())
		}
		if p.Name == spoilt {
			values[0] = float32(math.NaN())
		}
		if err := gpu.WriteF32(d, p.Grad, values); err != nil {
			t.Fatal(err)
		}
		if release {
			pass := d.Begin("release")
			update(pass, p)
			if err := pass.End(); err != nil {
				t.Fatal(err)
			}
		}
	}
	pass := d.Begin("step")
	if release {
		o.FinishRelease(pass, stats)
	} else {
		o.Step(pass, stats, rates)
	}
	if err := pass.End(); err != nil {
		t.Fatal(err)
	}
}

// allWords are those of every weight, master and plane.
func allWords(t *testing.T, d gpu.Device, m *model.Model, o Optimizer) map[string][]uint32 {
	t.Helper()
	list, _ := o.State()
	for _, p := range m.Params() {
		list = append(list, p.Weight)
		if !p.Master.None() {
			list = append(list, p.Master)
		}
	}
	all := map[string][]uint32{}
	for _, x := range list {
		w := make([]uint32, x.Words())
		if err := d.Read(x, 0, w); err != nil {
			t.Fatal(err)
		}
		all[x.Name] = w
	}
	return all
}

// Of every optimizer, in every kind of states: what is planned is allocated, in a layout with
// LoRA and fixed tensors too; updating each parameter as its gradient is there gives the same
// bits as updating all at the end, where nothing is clipped; and a step without a norm writes
// nothing.
func TestEveryOptimizer(t *testing.T) {
	for _, c := range published(t, small, 0) {
		for i, s := range methodStorages {
			t.Run(fmt.Sprint(c.Settings.Name(), " ", s.States), func(t *testing.T) {
				gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
					var want map[string][]uint32
					for _, release := range []bool{false, true} {
						l := grown()
						if i == 0 {
							l = model.Plain(small, 2)
						}
						l.Storage = s
						l.Storage.Release = release
						before := d.Ledger().Total()
						m, err := model.New(d, l)
						if err != nil {
							t.Fatal(err)
						}
						if err := m.Init(1, nil); err != nil {
							t.Fatal(err)
						}
						if err := c.Validate(l.Storage); err != nil {
							t.Fatal(err)
						}
						o := newOptimizer(t, c, m)
						planned := gpu.Plan(l.Specs(), c.Specs(l)).Total()
						if got := d.Ledger().Total() - before; got != planned {
							t.Errorf("%d bytes are allocated, %d planned", got, planned)
						}
						for seed := range uint64(3) {
							steppedBy(t, d, m, o, seed, release, "")
						}
						got := allWords(t, d, m, o)
						if want == nil {
							want = got
						}
						for name, w := range got {
							if !slices.Equal(w, want[name]) {
								t.Errorf("%s has other bits under release", name)
							}
						}
						if !release { // else those before it have been updated
							steppedBy(t, d, m, o, 4, false, "blocks.1.down")
						}
						for name, w := range allWords(t, d, m, o) {
							if !slices.Equal(w, got[name]) {
								t.Errorf("%s was changed by a step without a norm", name)
							}
						}
						o.Free()
						m.Free()
					}
				})
			})
		}
	}
}

// What is kept of each linear, in elements.
func TestMethodStates(t *testing.T) {
	c := model.Config{Hidden: 64, FFN: 160, Layers: 1, Heads: 4, KVHeads: 4, Vocab: 128, MaxSeqLen: 8, NormEps: 1e-5,
		RopeTheta: 1e4}
	const m, n, r = 64, 160, 16 // of down, and the published rank
	want := map[string]int{
		"adamw": 2 * m * n, "apollo": 2*r*n + 8, "apollo-mini": 2*n + 8, "fira": 2*r*n + r*m + 8, "galore": 2*r*n + r*m,
		"muon": m * n, "scale": 0,
	}
	l := model.Plain(c, 1)
	for _, x := range published(t, c, 1) {
		got := 0
		for _, p := range l.Params() {
			if p.Weight.Name == "blocks.0.down" {
				for _, s := range x.New().Specs(l.Storage, p) {
					got += s.Words()
				}
			}
		}
		if got != want[x.Settings.Name()] {
			t.Errorf("%s keeps %d words of a linear, want %d", x.Settings.Name(), got, want[x.Settings.Name()])
		}
		if !strings.Contains(x.Settings.String(), x.Settings.Title()) {
			t.Errorf("%s is described as %q", x.Settings.Title(), x.Settings)
		}
	}
	scale := Config{Settings: published(t, c, 1)[len(want)-1].Settings}
	s := model.Storage{Precision: model.BF16, States: model.StochasticStates, Gradients: model.BF16, Release: true,
		Frozen: model.BF16}
	if got := scale.TrainableBytes(s); scale.Settings.Name() != "scale" || got != 2 {
		t.Errorf("%s takes %g bytes per parameter, want 2", scale.Settings.Name(), got)
	}
}

// Numbers with which an optimizer is not defined are refused, states that it does not have,
// and fields that are another's.
func TestMethodsRefuse(t *testing.T) {
	p := Projection{Rank: 4, Every: 5}
	galore := GaLore{p, 0.25, 0.9, 0.999, 1e-6}
	apollo := Apollo{p, 1, 0.9, 0.999, 1e-6, 0}
	edit := func(edit func(*GaLore)) GaLore { g := galore; edit(&g); return g }
	flash8 := model.Storage{Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16,
		Frozen: model.BF16}
	for _, c := range []struct {
		s    Settings
		in   model.Storage
		part string
	}{
		{edit(func(g *GaLore) { g.Rank = 0 }), model.FullStorage, "GaLore with a projection of rank 0: it must be 1"},
		{edit(func(g *GaLore) { g.Every = 0 }), model.FullStorage, "every 0 updates: it must be 1"},
		{edit(func(g *GaLore) { g.Scale = 0 }), model.FullStorage, "scale of updates 0"},
		{edit(func(g *GaLore) { g.Beta2 = 1 }), model.FullStorage, "beta of 1"},
		{Fira{edit(func(g *GaLore) { g.Eps = 0 })}, model.FullStorage, "Fira, epsilon 0"},
		{galore, flash8, "flash8 with optimizer GaLore"}, {Fira{galore}, flash8, "flash8 with optimizer Fira"},
		{apollo, flash8, "flash8 with optimizer APOLLO"}, {ApolloMini{apollo}, flash8, "optimizer APOLLO-Mini"},
		{Muon{0.9, 1, 0.9, 0.9, 1e-8}, flash8, "optimizer Muon"},
		{Muon{1, 1, 0.9, 0.9, 1e-8}, model.FullStorage, "beta of 1"},
		{Muon{0.9, 0, 0.9, 0.9, 1e-8}, model.FullStorage, "factor on AdamW's rate 0"},
		{Scale{0.9, 1, 0.9, 0.9, 1e-8, ""}, flash8, "optimizer SCALE"},
		{Scale{0.9, math.Inf(1), 0.9, 0.9, 1e-8, ""}, model.FullStorage, "+Inf"},
	} {
		if err := (Config{Settings: c.s}).Validate(c.in); err == nil || !strings.Contains(err.Error(), c.part) {
			t.Errorf("%+v: error %v, want %q", c.s, err, c.part)
		}
	}
	for _, s := range []Settings{edit(func(g *GaLore) { g.Rank = 9 }), Fira{edit(func(g *GaLore) { g.Rank = 9 })}} {
		if err := (Config{Settings: s}).Fits(small); err == nil ||
			!strings.Contains(err.Error(), "wq is 8 x 8, choose at most 8") {
			t.Errorf("%+v fits: %v", s, err)
		}
	}
	other := map[string]json.RawMessage{"projection_rank": json.RawMessage("4")}
	rows := Scale{Momentum: 0.9, NormRate: 1, Eps: 1e-8, AdapterRule: "rows"}
	if err := rows.Validate(model.FullStorage); err == nil ||
		!strings.Contains(err.Error(), `"rows" of adapters: choose adamw or scale`) {
		t.Errorf("error %v", err)
	}
	if _, _, err := Choose("scale", small, other, 1); err == nil ||
		err.Error() != "optimizer scale has no projection_rank: leave it out" {
		t.Errorf("error %v", err)
	}
	if _, _, err := Choose("sgd", small, nil, 1); err == nil ||
		!strings.Contains(err.Error(), `"sgd": choose one of adamw`) {
		t.Errorf("error %v", err)
	}
}

// Operations of products in an update of a hidden matrix, by hand; of what is no hidden matrix
// there are none.
func TestMethodFLOPs(t *testing.T) {
	c := model.Config{Hidden: 64, FFN: 160, Layers: 1, Heads: 4, KVHeads: 4, Vocab: 128, MaxSeqLen: 8, NormEps: 1e-5,
		RopeTheta: 1e4}
	const m, n, r = 64.0, 160.0, 16.0 // of down, and the published rank; 24 rows are iterated
	refresh := (14*2*24*m*n + 4*24*24*m + 4*24*24*(6*m+n) + 5*24*24*12*24) / 200
	want := map[string]float64{
		"apollo": 2 * r * m * n, "apollo-mini": 2 * m * n, "galore": 4*r*m*n + refresh, "fira": 6*r*m*n + refresh,
		"muon": 5 * (4*m*m*n + 2*m*m*m),
	}
	for _, x := range published(t, c, 1) {
		for _, p := range model.Plain(c, 1).Params() {
			got := 0.0
			if f, ok := x.Settings.(multiplier); ok {
				got = f.FLOPs(p)
			}
			if p.Weight.Name == "blocks.0.down" && math.Abs(got-want[x.Settings.Name()]) > 1 ||
				p.Role != model.RoleLinear && got != 0 {
				t.Errorf("%s: %g operations for %s, want %g of down and none of the rest", x.Settings.Name(), got,
					p.Weight.Name, want[x.Settings.Name()])
			}
		}
	}
}
