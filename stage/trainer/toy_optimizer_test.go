package trainer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/plan"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/trainer/trainertest"
	"steplm/wgsl"
)

// rowSGD is an optimizer that nothing but this file knows: gradient descent that gives every
// row of a weight the momentum of its mean gradient, with a rate that falls with each of the
// updates that it counts on the host. The momentum takes one number a row and a spare one.
type rowSGD struct {
	Momentum float64 `json:"momentum"`
	Cooling  float64 `json:"cooling"`
	count    *cooled
}

type cooled struct{ Times int }

func (rowSGD) Name() string     { return "row-sgd" }
func (rowSGD) Title() string    { return "row SGD" }
func (s rowSGD) String() string { return fmt.Sprintf("row SGD, momentum %g", s.Momentum) }
func (s rowSGD) Numbers() any   { return s.count }
func (s rowSGD) Validate(st model.Storage) error {
	if !(s.Momentum >= 0 && s.Momentum < 1) || st.States != model.FullStates {
		return fmt.Errorf("momentum %g with states %s", s.Momentum, st.States)
	}
	return nil
}

func (s rowSGD) New(maxNorm float64) optim.Optimizer {
	s.count = &cooled{}
	return optim.ByParameter(s, maxNorm)
}

func (rowSGD) Specs(_ model.Storage, p model.ParamSpec) []gpu.Spec {
	return []gpu.Spec{{Name: p.Weight.Name + ".momentum", Class: gpu.Optimizer, Shape: []int{p.Weight.Rows() + 1}}}
}

func (s rowSGD) Update(p *gpu.Pass, u optim.Update) {
	s.count.Times++
	lr := u.Rates.LR * math.Exp(-s.Cooling*float64(s.count.Times))
	w := u.Param.Weight
	p.Run(gpu.Call{Kernel: rowSGDKernel, Groups: [3]int{w.Rows(), 1, 1}, Work: float64(8 * w.Elements()),
		Params: p.Params(uint32(w.Cols()), uint32(w.Stride()), gpu.Param(float32(lr)), gpu.Param(float32(s.Momentum)),
			gpu.Param(float32(u.Rates.Decay))),
		Tensors: p.Tensors(w, u.Planes[0], u.Param.Grad, u.Stats)})
}

func (rowSGD) Prune(gpu.Device, optim.Update, optim.Kept) error { return fmt.Errorf("not in part") }

var rowSGDKernel = &gpu.Kernel{
	Name: "row_sgd", Workgroup: [3]int{1, 1, 1}, Access: []gpu.Access{gpu.Write, gpu.Write, gpu.Read, gpu.Read},
	Source: `
struct Params { origin: vec3<u32>, cols: u32, stride: u32, lr: f32, momentum: f32, decay: f32 }
@group(0) @binding(0) var<storage, read_write> weight: array<f32>;
@group(0) @binding(1) var<storage, read_write> velocity: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;
@compute @workgroup_size(1, 1, 1)
fn row_sgd(@builtin(workgroup_id) group: vec3<u32>) {
	let row = group.x + params.origin.x;
	if (!(stats[1] <= 3e38)) { return; }
	var sum = 0.0;
	for (var i = 0u; i < params.cols; i++) { sum += grad[row * params.stride + i] * stats[2]; }
	velocity[row] = params.momentum * velocity[row] + sum / f32(params.cols);
	for (var i = 0u; i < params.cols; i++) {
		let at = row * params.stride + i;
		weight[at] -= params.lr * (grad[at] * stats[2] + velocity[row] + params.decay * weight[at]);
	}
}`,
	Host: func(a gpu.Args) {
		weight, velocity, grad, stats := a.F(0), a.F(1), a.F(2), a.F(3)
		if !(stats[wgsl.StatNorm] <= 3e38) {
			return
		}
		cols := a.Int(0)
		for row := range len(weight) / cols {
			sum := float32(0)
			for i := range cols {
				sum += grad[row*cols+i] * stats[wgsl.StatScale]
			}
			velocity[row] = a.Float(3)*velocity[row] + sum/float32(cols)
			for i := range cols {
				at := row*cols + i
				weight[at] -= a.Float(2) * (grad[at]*stats[wgsl.StatScale] + velocity[row] + a.Float(4)*weight[at])
			}
		}
	},
}

// toyOptions are a STEP run with the toy.
func toyOptions(t *testing.T) recipe.Options {
	t.Helper()
	before := optim.Kinds
	optim.Kinds = append(slices.Clone(before), optim.KindOf(func(model.Config) (rowSGD, float64) {
		return rowSGD{Momentum: 0.8}, 0.3
	}))
	t.Cleanup(func() { optim.Kinds = before })
	o := recipetest.Tiny()
	o.Optimizer = optim.Config{Settings: rowSGD{Momentum: 0.8, Cooling: 1e-4}, MaxNorm: 1}
	o.LR = []float64{0.3}
	return o
}

// An optimizer that is added from a test file trains, is planned as it is allocated, and goes
// on bit for bit from a checkpoint, its numbers on the host included.
func TestToyOptimizer(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		for _, release := range []bool{false, true} {
			o := toyOptions(t)
			o.Storage.Release = release
			r := recipetest.Must(t, "step", o)
			begin := func() *Trainer { return newTrainer(t, d, r, trainertest.Random(1, o.Batch, o.Model.Vocab, 3)) }
			whole := begin()
			losses := takeTo(t, whole, r.Steps())
			if first, last := losses[0], losses[len(losses)-1]; !(last < 0.9*first) {
				t.Errorf("from a loss of %.3f to %.3f", first, last)
			}
			if off := d.Ledger().Difference(gpu.Plan(d.Own(), r.Specs(whole.layout()))); off != "" {
				t.Error(off)
			}
			want, counted := contents(t, whole), numbers(whole)
			whole.Free()

			for _, stop := range []int{2, 8, 9} { // stage 1 has 5 steps
				tr := begin()
				takeTo(t, tr, stop)
				dir := t.TempDir()
				if err := tr.Save(dir, "here", kept(tr)); err != nil {
					t.Fatal(err)
				}
				tr.Free()
				tr, err := load(d, r, trainertest.Random(1, o.Batch, o.Model.Vocab, 3), filepath.Join(dir, "here"))
				if err != nil {
					t.Fatal(err)
				}
				if got := takeTo(t, tr, r.Steps()); !slices.Equal(got, losses[stop:]) {
					t.Errorf("resumed at %d: losses %v, want %v", stop, got, losses[stop:])
				}
				if got := contents(t, tr); !maps.EqualFunc(got, want, slices.Equal) || numbers(tr) != counted {
					t.Errorf("resumed at %d it is another run: %s, want %s", stop, numbers(tr), counted)
				}
				tr.Free()
			}
		}
	})
}

// What the toy keeps is one number a row and one more, of what trains alone, and the solver of
// partitions and the plan see it.
func TestToyOptimizerIsPlanned(t *testing.T) {
	o := toyOptions(t)
	r := recipetest.Must(t, "step", o)
	layouts, err := r.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range layouts {
		want := int64(0)
		for _, p := range l.Params() {
			if p.Trains() {
				want += 4 * int64(gpu.Padded(p.Weight.Rows()+1))
			}
		}
		if got := gpu.Plan(r.Specs(l)).ByClass()[gpu.Optimizer.String()]; got != want {
			t.Errorf("stage %d: %d bytes of optimizer are planned, want %d", i+1, got, want)
		}
	}
	adam := o
	adam.Optimizer = recipetest.Tiny().Optimizer
	if a, b := o.RealStageBytes()(3, 2), adam.RealStageBytes()(3, 2); a >= b {
		t.Errorf("a stage of the toy takes %d bytes, one of AdamW %d", a, b)
	}
	p, err := plan.Make(o)
	if err != nil {
		t.Fatal(err)
	}
	if p.Optimizer != "row SGD" || p.TrainableBytes != 8+4*float64(gpu.Padded(1025))/(1<<20) {
		t.Errorf("planned is %s with %g bytes per parameter", p.Optimizer, p.TrainableBytes)
	}
}

// Its recipe is JSON, and other settings are another run; after a step that is not finite its
// numbers are what they were.
func TestToyOptimizerInRecipes(t *testing.T) {
	o := toyOptions(t)
	r := recipetest.Must(t, "step", o)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	back, hash, err := recipe.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := r.Differences(back); d != "" || hash != r.Hash() {
		t.Errorf("read back, the recipe has another hash, or: %s", d)
	}
	o.Optimizer.Settings = rowSGD{Momentum: 0.7, Cooling: 1e-4}
	d := recipetest.Must(t, "step", o).Differences(back)
	if want := "optimizer.momentum is 0.8 there and 0.7 here"; !strings.Contains(d, want) {
		t.Errorf("other settings differ by %q, want %q", d, want)
	}
	o.Optimizer.Settings = rowSGD{Momentum: 1}
	_, err = recipe.NewRecipe("step", o)
	recipetest.WantError(t, err, "momentum 1")

	dev := gpu.NewHost()
	tr := newTrainer(t, dev, r, trainertest.Random(1, o.Batch, o.Model.Vocab, 3))
	takeSteps(t, tr, 2)
	before := numbers(tr)
	head := tr.Model.Param("head").Weight
	values := read(t, dev, head)
	values[0] = float32(math.NaN())
	if err := gpu.WriteF32(dev, head, values); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Step(context.Background()); err == nil || numbers(tr) != before {
		t.Errorf("%v; the numbers were %s and are %s", err, before, numbers(tr))
	}
}
