package optim

import (
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/wgsl/update"
)

// stepped is a model with an optimizer that has done some steps of random gradients.
func stepped(t *testing.T, d gpu.Device, s model.Storage) (*model.Model, Optimizer) {
	t.Helper()
	l := grown()
	l.Storage = s
	m, err := model.New(d, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Free)
	if err := m.Init(1, nil); err != nil {
		t.Fatal(err)
	}
	o := newOptimizer(t, adamw, m)
	t.Cleanup(o.Free)
	for seed := range uint64(3) {
		randomStep(t, d, m, o, seed)
	}
	return m, o
}

func randomStep(t *testing.T, d gpu.Device, m *model.Model, o Optimizer, seed uint64) {
	t.Helper()
	g := rand.New(rand.NewPCG(seed, 9))
	for _, p := range m.Params() {
		if p.Trainable() {
			values := make([]float32, p.Grad.Elements())
			for i := range values {
				values[i] = float32(g.NormFloat64())
			}
			if err := gpu.WriteF32(d, p.Grad, values); err != nil {
				t.Fatal(err)
			}
		}
	}
	stats := gputest.Tensor(t, d, "stats", nil, 8)
	p := d.Begin("step")
	o.Step(p, stats, func(*model.Param) Rates { return Rates{LR: 1e-3} })
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
	d.Free(stats)
}

// words are the planes' contents by name.
func words(t *testing.T, d gpu.Device, o Optimizer) map[string][]uint32 {
	t.Helper()
	all := map[string][]uint32{}
	planes, _ := o.State()
	for _, x := range planes {
		w := make([]uint32, x.Words())
		if err := d.Read(x, 0, w); err != nil {
			t.Fatal(err)
		}
		all[x.Name] = w
	}
	return all
}

func lora(name string) bool { return strings.Contains(name, ".lora_") }

var storages = map[string]model.Storage{
	"f32":    model.FullStorage,
	"split":  {Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16, Frozen: model.BF16},
	"flash8": {Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16, Frozen: model.BF16},
}

// A reset that keeps a share of the selected parameters' moments keeps those of the elements
// with the largest first moments, both of them and bit for bit, and nothing else of theirs;
// the others' planes and all counts stay.
func TestResetKeepsTheLargest(t *testing.T) {
	keep := Kept{Share: 0.2}
	for name, s := range storages {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				m, o := stepped(t, d, s)
				before := words(t, d, o)
				_, numbers := o.State()
				if err := o.Reset(lora, keep); err != nil {
					t.Fatal(err)
				}
				if err := o.Allocate(m); err != nil {
					t.Fatal(err)
				}
				after := words(t, d, o)
				if _, now := o.State(); string(now) != string(numbers) {
					t.Errorf("the numbers were %s and are %s", numbers, now)
				}
				pruned := 0
				for _, p := range m.Params() {
					if !p.Trainable() {
						continue
					}
					first, second := p.Name+".m", p.Name+".v"
					if !lora(p.Name) {
						if !slices.Equal(before[first], after[first]) || !slices.Equal(before[second], after[second]) {
							t.Errorf("%s was not selected and changed", p.Name)
						}
						continue
					}
					pruned++
					was, is := elements(before, p, s, first), elements(after, p, s, first)
					wasV, isV := elements(before, p, s, second), elements(after, p, s, second)
					kept, least, most := 0, math.Inf(1), 0.0
					for i := range was {
						switch {
						case is[i] != 0:
							kept++
							least = min(least, math.Abs(was[i]))
							if is[i] != was[i] || isV[i] != wasV[i] {
								t.Errorf("%s[%d] is kept, but not as it was", p.Name, i)
							}
						default:
							most = max(most, math.Abs(was[i]))
							if isV[i] != 0 {
								t.Errorf("%s[%d] has a second moment without a first", p.Name, i)
							}
						}
					}
					// Of moments of 8 bits several may be at the threshold, and all of them go.
					want := int(math.Ceil(keep.Share * float64(p.Weight.Elements()-1)))
					if kept > want || kept < want && s.States != model.Flash8States || kept == 0 || least <= most {
						t.Errorf("%s: %d moments from %g on are kept, want %d; up to %g are not", p.Name, kept, least,
							want, most)
					}
				}
				if pruned != 4 {
					t.Errorf("%d parameters of adapters, want 4: this shows too little", pruned)
				}
				randomStep(t, d, m, o, 7)
			})
		})
	}
}

// Which elements of a tensor are kept by magnitude, as ReLoRA's program has it.
func TestPruningGolden(t *testing.T) {
	var golden struct {
		Pruning struct {
			Cases []struct {
				Name      string
				Ratio     float64 `json:"prune_ratio"`
				Before    goldenTensor
				Survivors []int
			}
		}
	}
	readGolden(t, "relora_schedule.json", &golden)
	if len(golden.Pruning.Cases) == 0 {
		t.Error("no case")
	}
	for _, c := range golden.Pruning.Cases {
		got := []int{}
		for i, keep := range (Kept{Share: 1 - c.Ratio}).of(c.Name, c.Before.Data) {
			if keep {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, c.Survivors) {
			t.Errorf("%s, all but %g: elements %v stay, want %v", c.Name, c.Ratio, got, c.Survivors)
		}
	}
}

// What is kept at random is about the share, of both moments alike, follows from the seed and the name, and
// differs between parameters. Kept each by its magnitude, a moment may stay without the other.
func TestResetKeptBy(t *testing.T) {
	d := gpu.NewHost()
	kept := func(k Kept) (m, v map[string][]bool) {
		model, o := stepped(t, d, model.FullStorage)
		if err := o.Reset(lora, k); err != nil {
			t.Fatal(err)
		}
		if err := o.Allocate(model); err != nil {
			t.Fatal(err)
		}
		m, v = map[string][]bool{}, map[string][]bool{}
		for name, w := range words(t, d, o) {
			if !lora(name) {
				continue
			}
			all := m
			if strings.HasSuffix(name, ".v") {
				all = v
			}
			name = name[:len(name)-2]
			for _, x := range w {
				all[name] = append(all[name], x != 0)
			}
		}
		return m, v
	}
	same := func(a, b map[string][]bool) bool { return maps.EqualFunc(a, b, slices.Equal) }
	m, v := kept(Kept{Share: 0.5, By: AtRandom, Seed: 1})
	again, _ := kept(Kept{Share: 0.5, By: AtRandom, Seed: 1})
	other, _ := kept(Kept{Share: 0.5, By: AtRandom, Seed: 2})
	largest, _ := kept(Kept{Share: 0.5})
	if !same(m, v) || !same(m, again) || same(m, other) || same(m, largest) {
		t.Errorf("both moments alike: %t, with the same seed: %t, with another: %t, by magnitude: %t", same(m, v),
			same(m, again), same(m, other), same(m, largest))
	}
	n, all := 0, 0
	for name := range m {
		for _, x := range m[name] {
			all++
			if x {
				n++
			}
		}
	}
	if share := float64(n) / float64(all); share < 0.2 || share > 0.6 { // rows are padded with zeros
		t.Errorf("%d of %d moments are kept", n, all)
	}
	m, v = kept(Kept{Share: 0.1, By: EachMagnitude})
	if same(m, v) {
		t.Error("each by its magnitude, both moments of the same elements are kept")
	}

	_, o := stepped(t, d, storages["flash8"])
	if err := o.Reset(lora, Kept{Share: 0.1, By: EachMagnitude}); err == nil ||
		!strings.Contains(err.Error(), "8 bits are not kept by each_magnitude") {
		t.Error(err)
	}
}

// elements are a plane's values, first moments decoded; of 8-bit second ones the codes.
func elements(all map[string][]uint32, p *model.Param, s model.Storage, plane string) (list []float64) {
	for i := range p.Weight.Rows() * p.Weight.Stride() {
		switch w := all[plane]; {
		case s.States != model.Flash8States:
			list = append(list, float64(math.Float32frombits(w[i])))
		case strings.HasSuffix(plane, ".m"):
			list = append(list, float64(update.Flash8First(w, all[p.Name+".scales"], i)))
		default:
			list = append(list, float64(w[i/4]>>(i%4*8)&0xff))
		}
	}
	return list
}

// A reset that keeps nothing frees planes, which come back as zeros with a bias correction
// that begins again; one of everything is a beginning.
func TestResetToZero(t *testing.T) {
	d := gpu.NewHost()
	m, o := stepped(t, d, model.FullStorage)
	planned := gpu.Plan(m.Layout.Specs(), adamw.Specs(m.Layout))
	before := words(t, d, o)
	if err := o.Reset(lora, Kept{}); err != nil {
		t.Fatal(err)
	}
	freed := d.Ledger().ByClass()[gpu.Optimizer.String()]
	if freed >= planned.ByClass()[gpu.Optimizer.String()] {
		t.Errorf("%d bytes are held after the reset: nothing was freed", freed)
	}
	if err := o.Allocate(m); err != nil {
		t.Fatal(err)
	}
	if off := d.Ledger().Difference(planned); off != "" {
		t.Error(off)
	}
	after := words(t, d, o)
	for name, w := range after {
		if zero := !slices.ContainsFunc(w, func(x uint32) bool { return x != 0 }); zero != lora(name) || !zero &&
			!slices.Equal(w, before[name]) {
			t.Errorf("%s: all zero is %t, and as it was is %t", name, zero, slices.Equal(w, before[name]))
		}
	}
	want :=
		`{"updates":3,"began":{"blocks.0.down.lora_a":3,"blocks.0.down.lora_b":3,"blocks.0.wq.lora_a":3,"blocks.0.wq.lora_b":3}}`
	_, numbers := o.State()
	if string(numbers) != want {
		t.Errorf("the numbers are %s, want %s", numbers, want)
	}
	// The first update of a fresh parameter is one of the rate, whatever its gradient.
	p := m.Param("blocks.0.wq.lora_a")
	was := gputest.Read(t, d, p.Weight)
	randomStep(t, d, m, o, 5)
	for i, w := range gputest.Read(t, d, p.Weight) {
		if step := math.Abs(float64(w - was[i])); math.Abs(step-1e-3) > 1e-5 {
			t.Errorf("%s[%d] moved by %g, want the rate 1e-3", p.Name, i, step)
		}
	}

	if err := o.Restore(json.RawMessage(want)); err != nil {
		t.Fatal(err)
	}
	if _, numbers := o.State(); string(numbers) != want {
		t.Errorf("restored are %s, want %s", numbers, want)
	}
	for text, part := range map[string]string{`{"updates":1,"begun":{}}`: `"begun"`,
		`{"updates":1,"rule":{}}`: "of the rule", `{"updates": }`: "invalid"} {
		if err := o.Restore(json.RawMessage(text)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("restoring %s: %v, want an error with %q", text, err, part)
		}
	}

	if err := o.Reset(func(string) bool { return true }, Kept{}); err != nil {
		t.Fatal(err)
	}
	if _, numbers := o.State(); string(numbers) != `{"updates":0}` {
		t.Errorf("after a reset of everything the numbers are %s", numbers)
	}
	if off := d.Ledger().Difference(gpu.Plan(m.Layout.Specs())); off != "" {
		t.Error(off)
	}
}

// A configuration is one flat object, and reading it refuses what it does not know.
func TestConfigJSON(t *testing.T) {
	text, err := json.Marshal(adamw)
	if want := `{"name":"adamw","max_norm":1,"beta1":0.9,"beta2":0.95,"eps":1e-8}`; err != nil || string(text) != want {
		t.Errorf("%s (%v), want %s", text, err, want)
	}
	var back Config
	if err := json.Unmarshal(text, &back); err != nil || back != adamw {
		t.Errorf("read back it is %+v (%v)", back, err)
	}
	for text, part := range map[string]string{
		`{"name":"adam"}`:              `unknown optimizer "adam": choose one of adamw`,
		`{"max_norm":1}`:               `unknown optimizer ""`,
		`{"name":"adamw","beta":0.9}`:  `optimizer adamw: json: unknown field "beta"`,
		`{"name":"adamw","beta1":"x"}`: "beta1",
	} {
		if err := json.Unmarshal([]byte(text), &back); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want an error with %q", text, err, part)
		}
	}
	for c, part := range map[Config]string{
		{}: "no optimizer is chosen: choose one of adamw",
		{Settings: AdamW{Beta1: 0.9, Beta2: 1, Eps: 1}}:                         "betas 0.9 and 1",
		{Settings: AdamW{Beta1: 0.9, Beta2: 0.9}}:                               "epsilon 0",
		{Settings: AdamW{Beta1: 0.9, Beta2: 0.9, Eps: 1}, MaxNorm: math.Inf(1)}: "norm +Inf",
		{Settings: AdamW{Beta1: 0.9, Beta2: 0.9, Eps: 1}, MaxNorm: -1}:          "norm -1",
	} {
		if err := c.Validate(model.FullStorage); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%+v: %v, want an error with %q", c, err, part)
		}
	}
}
