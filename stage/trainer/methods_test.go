package trainer

import (
	"maps"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/trainer/trainertest"
)

var splitStorage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16}

// methodRuns are short runs by every method, over all of their transitions.
func methodRuns(t *testing.T) map[string]recipe.Recipe {
	t.Helper()
	list := map[string]recipe.Recipe{}
	for name, c := range map[string]struct {
		method string
		change func(*recipe.Options)
	}{
		"vanilla":  {"vanilla", func(*recipe.Options) {}},
		"step":     {"step", func(*recipe.Options) {}},
		"step_wsd": {"step", func(o *recipe.Options) { o.Schedule, o.Operator = "wsd", "zero" }},
		"step_drawn": {"step", func(o *recipe.Options) {
			o.Operator, o.NoFreeze, o.State, o.Storage = "random", true, recipe.StateKeep, splitStorage
		}},
		"relora": {"relora", func(o *recipe.Options) { o.MergeEvery = pointer(3) }},
		"relora_bf16": {"relora", func(o *recipe.Options) {
			o.MergeEvery, o.MergeKeepBy, o.WarmStart, o.Storage = pointer(2), "random", pointer(0.0), splitStorage
			o.Schedule = "linear"
		}},
		// Most of the model trains, then freezes to half as much: growth must not hold both.
		"step_int8": {"step", func(o *recipe.Options) {
			o.Model.Hidden, o.Model.FFN, o.Batch = 64, 128, model.Size{Batch: 1, SeqLen: 4}
			o.Model.Layers, o.Stages, o.Split = 7, 3, []int{4, 2, 1}
			o.LoRA.Rank, o.Recompute = 2, recipe.RecomputeBlock
			settings, _, err := optim.Choose("scale", o.Model, nil, 1)
			if err != nil {
				t.Fatal(err)
			}
			o.Optimizer.Settings = settings
			o.Storage = model.Storage{Precision: model.BF16, States: model.StochasticStates, Gradients: model.BF16,
				Frozen: model.Int8, Release: true}
		}},
		"relora_each": {"relora", func(o *recipe.Options) {
			o.MergeEvery, o.MergeKeepBy, o.Storage = pointer(3), "each_magnitude", splitStorage
		}},
		"lora":        {"lora", func(*recipe.Options) {}},
		"lora_warmed": {"lora", func(o *recipe.Options) { o.WarmStart = pointer(0.3) }},
		"galore": {"galore", func(o *recipe.Options) {
			settings, _, err := optim.Choose("galore", o.Model, nil, 1)
			if err != nil {
				t.Fatal(err)
			}
			o.Optimizer.Settings = settings
		}},
		"stack": {"stack", func(o *recipe.Options) { o.Operator, o.Schedule = "", "" }},
		"stack_mean": {"stack", func(o *recipe.Options) {
			o.Split, o.Schedule, o.Storage = []int{2, 4}, "linear", splitStorage
		}},
	} {
		o := recipetest.Tiny()
		o.Steps, o.Warmup = 12, 1
		if c.method != "step" && c.method != "stack" { // nothing grows
			o.Model.Layers = 2
		}
		c.change(&o)
		list[name] = recipetest.Must(t, c.method, o)
	}
	return list
}

func pointer[T any](x T) *T { return &x }

// Every stage of every method holds what is planned, on every device, no transition more than the larger of
// its two stages, and all that trains moves.
func TestEveryMethodHoldsItsPlan(t *testing.T) {
	for name, r := range methodRuns(t) {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				tr := newTrainer(t, d, r, trainertest.Random(4, r.Batch, r.Model.Vocab, 3))
				for i := range r.Stages {
					plan := gpu.Plan(d.Own(), r.Specs(tr.layouts[i]))
					if i > 0 {
						most := max(d.Ledger().Total(), plan.Total())
						if e := advance(t, tr); e.PeakBytes > most {
							t.Errorf("the transition to stage %d peaks at %d bytes, its stages at %d", i+1,
								e.PeakBytes, most)
						}
					}
					before := contents(t, tr)
					for _, m := range trainStage(t, tr) {
						if diff := cmp.Diff(plan.ByClass(), m.Bytes); diff != "" || m.PeakBytes != plan.Total() {
							t.Fatalf("stage %d holds at most %d of %d bytes (-plan +ledger):\n%s", i+1, m.PeakBytes,
								plan.Total(), diff)
						}
					}
					after := contents(t, tr)
					for _, p := range tr.Model.Params() {
						// LoRA's A has no gradient while B is 0, and a rate of 0 moves nothing.
						if r.Stages[i].Steps < 3 {
							continue
						}
						key := p.Weight.Class.String() + " " + p.Weight.Name
						if same := slices.Equal(after[key], before[key]); same == p.Trainable() {
							t.Errorf("stage %d: %s trains: %t, and is as it was: %t", i+1, p.Name, p.Trainable(), same)
						}
					}
				}
			})
		})
	}
}

// Every method goes on bit for bit from a checkpoint after any step, before and after each transition.
func TestEveryMethodResumes(t *testing.T) {
	for name, r := range methodRuns(t) {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				batches := func() Batches { return trainertest.Random(5, r.Batch, r.Model.Vocab, 3) }
				whole, dir := newTrainer(t, d, r, batches()), t.TempDir()
				var saved []string
				save := func(name string) {
					if err := whole.Save(dir, name, kept(whole)); err != nil {
						t.Fatal(err)
					}
					saved = append(saved, name)
				}
				every := 2
				if d.Name() != gpu.NewHost().Name() {
					every = 5
				}
				for step := 1; step < r.Steps(); step += every {
					takeTo(t, whole, step)
					save(savedAt(step))
					if whole.Due() {
						advance(t, whole)
						save(savedAt(step) + "-advanced")
					}
				}
				takeTo(t, whole, r.Steps())
				want := contents(t, whole)
				whole.Free()
				for _, name := range saved {
					tr, err := load(d, r, batches(), filepath.Join(dir, name))
					if err != nil {
						t.Fatal(err)
					}
					takeTo(t, tr, r.Steps())
					if got := contents(t, tr); !maps.EqualFunc(got, want, slices.Equal) {
						t.Errorf("resumed %s, it is another run", name)
					}
					tr.Free()
				}
			})
		})
	}
}

// A merge leaves the logits as they were, within the rounding of the storage, and begins LoRA anew with an A
// that is not zero; another merge draws another A.
func TestMergesOfReLoRA(t *testing.T) {
	for name, s := range map[string]struct {
		storage   model.Storage
		tolerance float64
	}{"f32": {model.FullStorage, 1e-5}, "split": {splitStorage, 0.05}} {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				o := recipetest.Tiny()
				o.Steps, o.MergeEvery, o.Storage, o.LR = 20, pointer(5), s.storage, []float64{3e-2}
				r := recipetest.Must(t, "relora", o)
				batches := trainertest.Random(4, o.Batch, o.Model.Vocab, 3)
				tr := newTrainer(t, d, r, batches)
				takeTo(t, tr, 5)
				advance(t, tr)
				var last []float32
				for range r.Stages[2:] {
					trainStage(t, tr)
					was := logits(t, tr, batches.Batches[0])
					lora := tr.Model.Blocks[0].WQ.LoRA
					if largest(read(t, d, lora.B.Weight)) == 0 {
						t.Error("B is zero before the merge: nothing is merged")
					}
					weight := read(t, d, tr.Model.Blocks[0].WQ.Weight)
					advance(t, tr)
					if gap := largestGap(logits(t, tr, batches.Batches[0]), was); !(gap <= s.tolerance) {
						t.Errorf("logits moved by %g", gap)
					}
					if sameBits(weight, read(t, d, tr.Model.Blocks[0].WQ.Weight)) {
						t.Error("the merge changed no weight")
					}
					lora = tr.Model.Blocks[0].WQ.LoRA
					a := read(t, d, lora.A.Weight)
					if largest(a) == 0 || largest(read(t, d, lora.B.Weight)) != 0 || last != nil && sameBits(a, last) {
						t.Error("LoRA does not begin anew")
					}
					last = a
				}
			})
		})
	}
}

// Merges into bf16 alone lose nothing on average, however small: a thousand of them add up, where rounding to
// the nearest would leave the weights as they were.
func TestSmallMergesAddUp(t *testing.T) {
	d := gpu.NewHost()
	o := recipetest.Tiny()
	o.Storage, o.WarmStart, o.MergeEvery = splitStorage, pointer(0.0), pointer(2)
	moved := func(round string) (mean float64) {
		tr := newTrainer(t, d, recipetest.Must(t, "relora", o), trainertest.Random(1, o.Batch, o.Model.Vocab, 3))
		defer tr.Free()
		l := tr.Model.Blocks[0].WQ
		one := make([]float32, l.Weight.Elements())
		for i := range one {
			one[i] = 1
		}
		a, b := make([]float32, l.LoRA.A.Weight.Elements()), make([]float32, l.LoRA.B.Weight.Elements())
		for i := range a {
			a[i] = 1.0 / 4096
		}
		for i := range b {
			b[i] = 1.0 / float32(l.LoRA.Rank) / l.LoRA.Scale
		}
		for _, x := range []struct {
			to     gpu.Tensor
			values []float32
		}{{l.Weight, one}, {l.LoRA.A.Weight, a}, {l.LoRA.B.Weight, b}} {
			if err := gpu.WriteF32(d, x.to, x.values); err != nil {
				t.Fatal(err)
			}
		}
		for count := range uint64(1000) {
			e := recipe.Effect{Merge: true, Stochastic: round == recipe.Stochastic}
			if err := mixGrown(tr.Model, e, count); err != nil {
				t.Fatal(err)
			}
		}
		for _, x := range read(t, d, l.Weight) {
			mean += float64(x-1) / float64(len(one))
		}
		return mean
	}
	want := 1000.0 / 4096
	if got := moved(recipe.Stochastic); math.Abs(got-want) > 0.05*want {
		t.Errorf("a thousand merges of 1/4096 add %g, want %g", got, want)
	}
	if got := moved(""); got != 0 {
		t.Errorf("rounded to nearest they add %g: this shows nothing", got)
	}
}

// The rates of a run are its schedule's, step by step, over merges and growths: those of LoRA and of each
// stage have peaks of their own.
func TestRatesOfMethods(t *testing.T) {
	d := gpu.NewHost()
	for name, c := range map[string]struct {
		method string
		change func(*recipe.Options)
		want   []float64 // reported in each step
		lora   float64   // its rate in the last step
	}{
		// cosine of 12 for 3 steps; then 0, 1/2, 1, the cosine of 9; a restart at 4 rises from 0 to it.
		"relora": {"relora", func(o *recipe.Options) {
			o.MergeEvery, o.Warmup, o.Rewarm, o.LR, o.MinRatio = pointer(4), 2, 2, []float64{1, 2}, 0
			o.LoRALR = 3
		}, []float64{0.5, 1, 1, 0, 1, 2, 2 * cosineAt(1, 7), 0, 1 * cosineAt(4, 7), 2 * cosineAt(4, 7),
			2 * cosineAt(5, 7), 0},
			0},
		"stack": {"stack", func(o *recipe.Options) {
			o.Operator, o.Schedule, o.Warmup, o.DecayShare, o.Rewarm, o.GrowAt, o.MinRatio = "", "", 2, 0.25, -1, 0.5, 0
		}, []float64{0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2.0 / 3, 1.0 / 3}, 0},
		"step under wsd": {"step", func(o *recipe.Options) {
			o.Split, o.Schedule, o.Warmup, o.DecayShare, o.Rewarm, o.MinRatio = []int{3, 3}, "wsd", 1, 0.25, 2, 0
			o.LR, o.LoRALR = []float64{1, 4}, 0.5
		}, []float64{1, 1, 1, 1, 1, 2, 4, 4, 4, 4, 8.0 / 3, 4.0 / 3}, 2.0 / 3},
	} {
		o := recipetest.Tiny()
		o.Steps, o.LR = 12, []float64{1}
		c.change(&o)
		r := recipetest.Must(t, c.method, o)
		schedule := r.Schedule()
		var got []float64
		for step := range r.Steps() {
			i, _ := r.StageOf(step)
			got = append(got, r.Stages[i].LR*schedule.At(step))
		}
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1e-9 {
				t.Errorf("%s: rates %.4f, want %.4f", name, got, c.want)
				break
			}
		}
		if c.lora == 0 {
			continue
		}
		tr := newTrainer(t, d, r, trainertest.Random(2, o.Batch, o.Model.Vocab, 3))
		takeTo(t, tr, r.Steps()-1)
		if rate := tr.ratesOf()(tr.Model.Blocks[0].WQ.LoRA.A).LR; math.Abs(rate-c.lora) > 1e-9 {
			t.Errorf("%s: LoRA's rate is %g, want %g", name, rate, c.lora)
		}
		tr.Free()
	}
}

func cosineAt(n, steps int) float64 { return (1 + math.Cos(math.Pi*float64(n)/float64(steps))) / 2 }

// A rate of its own moves embedding and head by as much more in the first step, in which AdamW moves all weights by the
// rate, and nothing else; and a recipe without one is as it was.
func TestEmbeddingHasARateOfItsOwn(t *testing.T) {
	for _, tied := range []bool{false, true} {
		gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
			moved := func(factor float64) map[model.Role]float64 {
				o := recipetest.Tiny()
				o.Model.Tied, o.EmbeddingLR, o.Warmup, o.Stages = tied, factor, 0, 1
				o.Decay = []float64{0}
				tr := newTrainer(t, d, recipetest.Must(t, "vanilla", o), trainertest.Random(1, o.Batch,
					o.Model.Vocab, 1))
				before, most := snapshot(t, tr), map[model.Role]float64{}
				takeSteps(t, tr, 1)
				for _, p := range tr.Model.Params() {
					for i, x := range read(t, d, p.Weight) {
						most[p.Role] = max(most[p.Role], math.Abs(float64(x-before[p.Name][i])))
					}
				}
				return most
			}
			one, four := moved(1), moved(4)
			for role, was := range one {
				want := was
				if role == model.RoleEmbedding || role == model.RoleHead {
					want *= 4
				}
				if got := four[role]; !(math.Abs(got-want) <= 1e-4*want) {
					t.Errorf("tied %t: with a factor of 4 the %s moves by %g, with 1 by %g", tied, role, got, was)
				}
			}
		})
	}
	o := recipetest.Tiny()
	was := recipetest.Must(t, "relora", o).Hash()
	if o.EmbeddingLR = 1; recipetest.Must(t, "relora", o).Hash() != was {
		t.Error("a factor of 1 is another recipe")
	}
	o.EmbeddingLR = 2
	for i, s := range recipetest.Must(t, "relora", o).Stages {
		if s.EmbeddingLR != 2*s.LR {
			t.Errorf("ReLoRA's stage %d has the rate %g, and %g for embedding and head", i+1, s.LR, s.EmbeddingLR)
		}
	}
	o.EmbeddingLR = -1
	_, err := recipe.NewRecipe("relora", o)
	recipetest.WantError(t, err, "factor -1 on the learning rate of embedding and head")
}
