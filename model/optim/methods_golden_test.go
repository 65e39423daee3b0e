package optim

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/wgsl"
	"steplm/wgsl/update"
)

// lone is one parameter with a rule, without a model: golden problems have shapes that no
// model has together.
type lone struct {
	dev   gpu.Device
	rule  Rule
	u     Update
	names []string // of the planes, without the parameter's
}

// newLone makes a parameter of values, its gradient and what its rule keeps.
func newLone(t *testing.T, d gpu.Device, r Rule, s model.Storage, role model.Role, values []float32,
	shape ...int) *lone {
	t.Helper()
	dtype, grads := gpu.F32, gpu.F32
	if s.Precision == model.BF16 {
		dtype = gpu.BF16
	}
	if s.Gradients == model.BF16 {
		grads = gpu.BF16
	}
	weight := gputest.TensorOf(t, d, dtype, "w", values, shape...)
	p := &model.Param{Name: "w", Role: role, Block: model.NoBlock, Weight: weight,
		Grad: gputest.TensorOf(t, d, grads, "w.grad", nil, shape...)}
	switch s.States {
	case model.PaperStates:
		p.Master = gputest.Tensor(t, d, "w.master", values, shape...)
	case model.SplitStates:
		low, high := make([]uint32, weight.Words()), make([]uint32, weight.Words())
		for i, f := range values {
			hi, lo := update.SplitBits(f)
			at := i/weight.Cols()*weight.Stride() + i%weight.Cols()
			high[at/2] |= uint32(hi) << (at % 2 * 16)
			low[at/2] |= uint32(uint16(lo)) << (at % 2 * 16)
		}
		if err := d.Write(weight, 0, high); err != nil {
			t.Fatal(err)
		}
		p.Master = gputest.Indices(t, d, "w.low", low)
	}
	l := &lone{dev: d, rule: r, u: Update{Storage: s, Param: p}}
	spec := model.ParamSpec{Role: role, Block: model.NoBlock, Weight: weight.Spec, Grad: p.Grad.Spec,
		Master: p.Master.Spec}
	made := func(x gpu.Spec) gpu.Tensor {
		if x.DType == gpu.U32 {
			return gputest.Indices(t, d, x.Name, make([]uint32, x.Words()))
		}
		return gputest.TensorOf(t, d, x.DType, x.Name, nil, x.Shape...)
	}
	for _, x := range r.Specs(s, spec) {
		l.u.Planes = append(l.u.Planes, made(x))
		l.names = append(l.names, strings.TrimPrefix(x.Name, "w."))
	}
	if r, ok := r.(Scratched); ok {
		for _, x := range r.Scratch(spec) {
			l.u.Scratch = append(l.u.Scratch, made(x))
		}
	}
	l.u.Stats = gputest.Tensor(t, d, "stats", []float32{0, 1, 1, 0, 0, 0, 0, 0}, wgsl.StatWords)
	return l
}

// step updates the parameter by a gradient.
func (l *lone) step(t *testing.T, grad []float32, r Rates) {
	t.Helper()
	if err := gpu.WriteF32(l.dev, l.u.Param.Grad, grad); err != nil {
		t.Fatal(err)
	}
	l.u.Count++
	l.u.Rates = r
	p := l.dev.Begin("step")
	l.rule.Update(p, l.u)
	if err := p.End(); err != nil {
		t.Fatal(err)
	}
}

// plane is what the plane of that name holds.
func (l *lone) plane(t *testing.T, name string) []float32 {
	t.Helper()
	i := slices.Index(l.names, name)
	if i < 0 {
		t.Fatalf("no plane %s among %v", name, l.names)
	}
	return gputest.Read(t, l.dev, l.u.Planes[i])
}

// goldenCase is one of a method's file.
type goldenCase struct {
	Name  string
	Hyper struct {
		LR          float64
		Betas       [2]float64
		WeightDecay float64 `json:"weight_decay"`
		Eps         float64
		Momentum    float64
		AdamLR      float64 `json:"adam_lr"`
		Rank, Gap   int
		Scale       float64
		ScaleFront  bool `json:"scale_front"`
		Alpha       float64
		Aux         struct {
			LR          float64
			Betas       [2]float64
			Eps         float64
			WeightDecay float64 `json:"weight_decay"`
		}
	}
	Weights map[string]map[string]goldenTensor
	Trace   map[string][]map[string]float64
	Tensors map[string]goldenTensor
}

// goldenFile is a method's.
type goldenFile struct {
	Cases       []goldenCase
	Projections map[string]goldenTensor
}

// goldenParam is how a tensor of the problem is trained.
type goldenParam struct {
	rule  Rule
	role  model.Role
	lr    float64 // factor on the case's
	decay float64 // the case's, unless the tensor has its own
	off   float64 // what it may differ by, of its change
}

// goldenSteps runs a case's tensors on every device, compares the weights as the README
// says, and calls before and check around each step.
func goldenSteps(t *testing.T, c goldenCase, params map[string]goldenParam,
	before, check func(t *testing.T, name string, step int, l *lone)) {
	t.Helper()
	var problem goldenProblem
	readGolden(t, "problem.json", &problem)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		for _, name := range slices.Sorted(maps.Keys(params)) {
			x, init := params[name], problem.Init[name]
			goldenRounded(t, d, c, name, x, problem)
			l := newLone(t, d, x.rule, model.FullStorage, x.role, init.Data, init.Shape...)
			n, compared, worst := len(init.Data), 0, 0.0
			for i, factor := range problem.LRFactor {
				if before != nil {
					before(t, name, i+1, l)
				}
				l.step(t, problem.Grad[name].Data[i*n:][:n], Rates{LR: c.Hyper.LR * x.lr * factor, Decay: x.decay})
				if want, ok := c.Weights[strconv.Itoa(i+1)][name]; ok {
					compared++
					off := goldenDistance(gputest.Read(t, d, l.u.Param.Weight), want.Data, init.Data)
					worst = max(worst, off)
					if !(off <= x.off) {
						t.Errorf("%s: step %d is off by %.3g of the change, %g is allowed", name, i+1, off, x.off)
					}
				}
				if check != nil {
					check(t, name, i+1, l)
				}
			}
			if compared != 4 {
				t.Errorf("%s: %d steps were compared, want 4", name, compared)
			}
			t.Logf("%s is off by %.2g of its change at most, %g is allowed", name, worst, x.off)
		}
	})
}

// goldenRounded runs a tensor's steps with gradients that are rounded to bf16 and masters in
// f32: those may differ by as much as rounding a gradient by 2^-9 of it, in each of 12 steps,
// moves directions that are quotients of moments.
func goldenRounded(t *testing.T, d gpu.Device, c goldenCase, name string, x goldenParam, problem goldenProblem) {
	t.Helper()
	const bound = 0.02
	s := model.Storage{Precision: model.BF16, States: model.PaperStates, Gradients: model.BF16, Frozen: model.BF16}
	init := problem.Init[name]
	if drawnElsewhere(x) {
		return // its projections are handed in by the caller
	}
	l, n, last := newLone(t, d, x.rule, s, x.role, init.Data, init.Shape...), len(init.Data), len(problem.LRFactor)
	for i, factor := range problem.LRFactor {
		l.step(t, problem.Grad[name].Data[i*n:][:n], Rates{LR: c.Hyper.LR * x.lr * factor, Decay: x.decay})
	}
	off := goldenDistance(gputest.Read(t, d, l.u.Param.Master), c.Weights[strconv.Itoa(last)][name].Data, init.Data)
	if !(off <= bound) {
		t.Errorf("%s: with gradients of bf16, step %d is off by %.3g of the change, %g is allowed", name, last, off,
			bound)
	}
	t.Logf("%s with gradients of bf16 is off by %.2g of its change, %g is allowed", name, off, bound)
}

// drawnElsewhere reports whether a rule's projections are handed in by the test.
func drawnElsewhere(x goldenParam) bool {
	r, ok := x.rule.(byRole)
	if !ok {
		return false
	}
	_, ok = r.of(x.role).(apollo)
	return ok
}

// near fails where a number differs from a golden one by more than 1e-4 of it.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-4*math.Abs(want)+1e-12) {
		t.Errorf("%s is %g, want %g", what, got, want)
	}
}

func norm(x []float32) float64 {
	s := 0.0
	for _, v := range x {
		s += float64(v) * float64(v)
	}
	return math.Sqrt(s)
}

// The AdamW that GaLore, Fira and APOLLO come with: epsilon outside, decay of the new weight.
func TestOuterAdamWGolden(t *testing.T) {
	var f goldenFile
	readGolden(t, "adamw.json", &f)
	found := false
	for _, c := range f.Cases {
		if c.Name != "outer_eps" {
			continue
		}
		found = true
		r := adam{AdamW: AdamW{c.Hyper.Betas[0], c.Hyper.Betas[1], c.Hyper.Eps}, outside: true, after: true, rate: 1}
		wd := c.Hyper.WeightDecay
		goldenSteps(t, c, map[string]goldenParam{
			"W1": {r, model.RoleLinear, 1, wd, 1e-4}, "W2": {r, model.RoleLinear, 1, wd, 1e-4},
			"v": {r, model.RoleNorm, 1, wd, 2e-4},
		}, nil, nil)
	}
	if !found {
		t.Error("no case outer_eps")
	}
}

func TestScaleGolden(t *testing.T) {
	var f goldenFile
	readGolden(t, "scale.json", &f)
	for _, c := range f.Cases {
		h := c.Hyper
		r := Scale{Momentum: h.Momentum, NormRate: h.AdamLR / h.LR, Beta1: h.Betas[0], Beta2: h.Betas[1],
			Eps: h.Eps}.rules()
		goldenSteps(t, c, map[string]goldenParam{
			"W1": {r, model.RoleLinear, 1, h.WeightDecay, 1e-4}, "W2": {r, model.RoleHead, 1, h.WeightDecay, 1e-4},
			"E": {r, model.RoleEmbedding, 1, h.WeightDecay, 1e-4},
			"v": {r, model.RoleNorm, 1, h.WeightDecay, 5e-4},
		}, nil, nil)
		rows := Scale{Momentum: h.Momentum, NormRate: h.AdamLR / h.LR, Beta1: h.Betas[0], Beta2: h.Betas[1],
			Eps: h.Eps, AdapterRule: AdapterRows}.rules()
		goldenSteps(t, c, map[string]goldenParam{ // LoRA's matrices as its source's linears
			"W1": {rows, model.RoleLoRAB, 1, h.WeightDecay, 1e-4}, "W2": {rows, model.RoleHead, 1, h.WeightDecay, 1e-4},
			"E": {rows, model.RoleEmbedding, 1, h.WeightDecay, 1e-4},
			"v": {rows, model.RoleNorm, 1, h.WeightDecay, 5e-4},
		}, nil, nil)
	}
	if len(f.Cases) != 1 {
		t.Errorf("%d cases, want 1", len(f.Cases))
	}
}

// apolloGolden compares a file's cases, with its own projections in place of ours.
func apolloGolden(t *testing.T, file string, mini bool, cases int) {
	var f goldenFile
	readGolden(t, file, &f)
	for _, c := range f.Cases {
		h := c.Hyper
		rule := func() Rule {
			r := Apollo{Projection: Projection{Rank: h.Rank, Every: h.Gap}, Scale: h.Scale, Beta1: h.Betas[0],
				Beta2: h.Betas[1], Eps: h.Eps}.rules(mini)
			linear := r.linear.(apollo)
			linear.draw = func(*gpu.Pass, gpu.Tensor, Update, int) {} // it lies there already
			r.linear = linear
			return r
		}
		check := func(t *testing.T, name string, step int, l *lone) {
			if name == "v" {
				return
			}
			want := c.Trace[name][step-1]
			what := fmt.Sprintf("%s, %s, step %d: ", c.Name, name, step)
			near(t, what+"norm of M", norm(l.plane(t, "m")), want["norm_M"])
			near(t, what+"norm of V", norm(l.plane(t, "v")), want["norm_V"])
			stored := want["stored_norm"]
			if h.ScaleFront { // ours is before the scale
				stored /= math.Sqrt(h.Scale)
			}
			near(t, what+"stored norm", float64(l.plane(t, "norm")[0]), stored)
		}
		before := func(t *testing.T, name string, step int, l *lone) {
			if x, ok := f.Projections[fmt.Sprintf("P.%s.step%d", name, step)]; ok {
				if err := gpu.WriteF32(l.dev, l.u.Scratch[0], x.Data); err != nil { // in rank 1 a vector either way
					t.Fatal(err)
				}
			}
		}
		wd := h.WeightDecay
		goldenSteps(t, c, map[string]goldenParam{
			"W1": {rule(), model.RoleLinear, 1, wd, 1e-4}, "W2": {rule(), model.RoleLinear, 1, wd, 1e-4},
			"v": {rule(), model.RoleNorm, 1, wd, 2e-4},
		}, before, check)
	}
	if len(f.Cases) != cases {
		t.Errorf("%d cases, want %d", len(f.Cases), cases)
	}
}

func TestApolloGolden(t *testing.T)     { apolloGolden(t, "apollo.json", false, 3) }
func TestApolloMiniGolden(t *testing.T) { apolloGolden(t, "apollo_mini.json", true, 2) }

// Muon's published iteration in bf16 is another one, which its other case shows.
func TestMuonGolden(t *testing.T) {
	var f goldenFile
	readGolden(t, "muon.json", &f)
	found := false
	for _, c := range f.Cases {
		if c.Name != "ns_float64" {
			continue
		}
		found = true
		h := c.Hyper
		r := Muon{Momentum: h.Momentum, AdamRate: h.Aux.LR / h.LR, Beta1: h.Aux.Betas[0], Beta2: h.Aux.Betas[1],
			Eps: h.Aux.Eps}.rules()
		check := func(t *testing.T, name string, step int, l *lone) {
			if name != "v" {
				near(t, fmt.Sprintf("%s, step %d: norm of the momentum", name, step), norm(l.plane(t, "m")),
					c.Trace[name][step-1]["norm_momentum"])
			}
		}
		goldenSteps(t, c, map[string]goldenParam{
			"W1": {r, model.RoleLinear, 1, h.WeightDecay, 1e-4}, "W2": {r, model.RoleLinear, 1, h.WeightDecay, 1e-4},
			"v": {r, model.RoleNorm, 1, h.Aux.WeightDecay, 5e-4},
		}, nil, check)
	}
	if !found {
		t.Error("no case ns_float64")
	}
}

// galoreGolden compares GaLore's or Fira's cases but that of another sign rule.
func galoreGolden(t *testing.T, file string, cases int, rules func(GaLore) byRole,
	trace func(t *testing.T, what string, l *lone, want map[string]float64)) {
	var f goldenFile
	readGolden(t, file, &f)
	for _, c := range f.Cases {
		if c.Name == "lapack_sign" { // which differs from update 6 on
			continue
		}
		cases--
		h := c.Hyper
		r := rules(GaLore{Projection: Projection{Rank: h.Rank, Every: h.Gap}, Scale: max(h.Scale, h.Alpha),
			Beta1: h.Betas[0], Beta2: h.Betas[1], Eps: h.Eps})
		check := func(t *testing.T, name string, step int, l *lone) {
			if name == "v" {
				return
			}
			what := fmt.Sprintf("%s, %s, step %d: ", c.Name, name, step)
			if want, ok := c.Tensors[fmt.Sprintf("P.%s.step%d", name, step)]; ok {
				for i, x := range l.plane(t, "basis") {
					if !(math.Abs(float64(x-want.Data[i])) <= 1e-4) {
						t.Errorf("%sthe basis has %g at %d, want %g", what, x, i, want.Data[i])
					}
				}
			}
			trace(t, what, l, c.Trace[name][step-1])
		}
		wd := h.WeightDecay
		goldenSteps(t, c, map[string]goldenParam{
			"W1": {r, model.RoleLinear, 1, wd, 1e-4}, "W2": {r, model.RoleLinear, 1, wd, 1e-4},
			"v": {r, model.RoleNorm, 1, wd, 2e-4},
		}, nil, check)
	}
	if cases != 0 {
		t.Errorf("%d cases are missing", cases)
	}
}

func TestGaLoreGolden(t *testing.T) {
	galoreGolden(t, "galore.json", 1, GaLore.rules, func(t *testing.T, what string, l *lone, want map[string]float64) {
		near(t, what+"norm of M", norm(l.plane(t, "m")), want["norm_M"])
		near(t, what+"norm of V", norm(l.plane(t, "v")), want["norm_V"])
	})
}

func TestFiraGolden(t *testing.T) {
	rules := func(c GaLore) byRole { return Fira{c}.rules() }
	galoreGolden(t, "fira.json", 2, rules, func(t *testing.T, what string, l *lone, want map[string]float64) {
		near(t, what+"stored norm", float64(l.plane(t, "norm")[0]), want["stored_norm"])
	})
}
