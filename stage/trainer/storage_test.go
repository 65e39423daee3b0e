package trainer

import (
	"context"
	"math"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/trainer/trainertest"
)

// whole is what a run to its end, growth included, leaves.
type whole struct {
	metrics []record.Metrics
	weights map[string][]float32
}

// runWhole trains STEP to its end; begin is called at the start of every stage.
func runWhole(t *testing.T, d gpu.Device, o recipe.Options, begin func(*Trainer)) whole {
	t.Helper()
	tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(5, o.Batch, o.Model.Vocab, 3))
	defer tr.Free()
	begin(tr)
	all := trainStage(t, tr)
	for tr.Due() {
		advance(t, tr)
		begin(tr)
		all = append(all, trainStage(t, tr)...)
	}
	return whole{all, snapshot(t, tr)}
}

// sameRun fails unless two runs have the same losses, norms and weights, bit for
// bit.
func sameRun(t *testing.T, what string, a, b whole, norms bool) {
	t.Helper()
	for i, m := range a.metrics {
		if n := b.metrics[i]; m.Loss != n.Loss || norms && m.GradNorm != n.GradNorm {
			t.Errorf("%s, step %d: loss %.9g and %.9g, norm %.9g and %.9g", what, i+1, m.Loss, n.Loss, m.GradNorm,
				n.GradNorm)
			break
		}
	}
	for name, w := range a.weights {
		if !sameBits(w, b.weights[name]) {
			t.Errorf("%s: %s differs at the end", what, name)
		}
	}
}

// The master's two halves are the master: split is paper, bit for bit, over a run
// with a growth in it and with ties injected into the masters.
func TestSplitIsPaper(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		var runs [2]whole
		for i, states := range []string{model.PaperStates, model.SplitStates} {
			o := recipetest.Tiny()
			o.Steps = 24
			o.Storage = model.Storage{Precision: model.BF16, States: states, Gradients: model.BF16}
			runs[i] = runWhole(t, d, o, func(tr *Trainer) { injectTies(t, tr) })
		}
		sameRun(t, "split against paper", runs[0], runs[1], true)
	})
}

// injectTies makes the head's masters lie halfway between two bf16 values, up and
// down, negative too.
func injectTies(t *testing.T, tr *Trainer) {
	t.Helper()
	p := tr.Model.Param("head")
	weight, master := make([]uint32, p.Weight.Words()), make([]uint32, p.Master.Words())
	for i := range weight {
		var hi [2]uint32
		for j := range hi {
			n := uint32(2*i + j)
			bits := 0x3c008000 + n%97<<16 + n%2<<31 // a tie: its lower half is 0x8000
			hi[j] = (bits + 0x8000) >> 16
			if tr.Recipe.Storage.States == model.PaperStates {
				master[2*i+j] = bits
			} else {
				master[i] |= 0x8000 << (16 * j) // -32768
			}
		}
		weight[i] = hi[0] | hi[1]<<16
	}
	if err := tr.dev.Write(p.Weight, 0, weight); err != nil {
		t.Fatal(err)
	}
	if err := tr.dev.Write(p.Master, 0, master); err != nil {
		t.Fatal(err)
	}
}

// Without clipping, updating each parameter as soon as its gradient is there
// changes nothing but the memory.
func TestReleaseIsExactWithoutClipping(t *testing.T) {
	for _, s := range []model.Storage{model.FullStorage, {Precision: model.BF16, States: model.SplitStates,
		Gradients: model.BF16}} {
		for _, tied := range []bool{false, true} {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				var runs [2]whole
				for i, release := range []bool{false, true} {
					o := recipetest.Tiny()
					o.Storage, o.Optimizer.MaxNorm, o.Model.Tied = s, 0, tied
					o.Storage.Release = release
					runs[i] = runWhole(t, d, o, func(*Trainer) {})
				}
				sameRun(t, "released", runs[0], runs[1], false)
				for i, m := range runs[0].metrics {
					released := runs[1].metrics[i]
					relative(t, "norm", released.GradNorm, m.GradNorm, 1e-5) // summed in another order
					if released.Bytes["gradients"] >= m.Bytes["gradients"] {
						t.Errorf("released gradients take %d bytes, kept ones %d", released.Bytes["gradients"],
							m.Bytes["gradients"])
					}
				}
			})
		}
	}
}

// The declared rule of clipping under release: no parameter's update is that of a
// gradient above its share of the norm. With a huge gradient and SGD-like betas
// that shows in the first moment.
func TestReleaseClipsEachParameter(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		o := recipetest.Tiny()
		o.Storage.Release, o.Optimizer = true, optim.Config{Settings: recipetest.AdamW(0, 0.95), MaxNorm: 1e-3}
		tr := newTrainer(t, d, recipetest.Must(t, "vanilla", o), trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
		m := takeSteps(t, tr, 1)[0]
		if m.GradNorm < 0.1 {
			t.Fatalf("a norm of %g is not far above the bound: this shows nothing", m.GradNorm)
		}
		total := float64(o.Model.TotalParams())
		for i, p := range tr.Model.Params() {
			first := read(t, d, planes(tr)[2*i]) // with beta1 = 0 the clipped gradient
			sum := 0.0
			for _, x := range first {
				sum += float64(x) * float64(x)
			}
			bound := o.Optimizer.MaxNorm * math.Sqrt(float64(p.Weight.Elements())/total)
			if norm := math.Sqrt(sum); !(norm <= bound*1.0001) || norm < bound*0.5 {
				t.Errorf("%s: clipped to %g, its bound is %g", p.Name, norm, bound)
			}
		}
		tr.Free()
	})
}

// A loss that is not finite stops a released step before any update.
func TestReleaseStopsAtABadLoss(t *testing.T) {
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		o := recipetest.Tiny()
		o.Storage.Release = true
		tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
		takeSteps(t, tr, 1)
		x := tr.Model.Param("blocks.1.attn_norm").Weight
		bad := read(t, d, x)
		bad[0] = float32(math.NaN())
		if err := gpu.WriteF32(d, x, bad); err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, tr)
		_, err := tr.Step(context.Background())
		recipetest.WantError(t, err, "step 2", "NaN", "nothing was updated", "[lower lr]")
		for name, w := range snapshot(t, tr) {
			if !sameBits(w, before[name]) {
				t.Errorf("%s was updated", name)
			}
		}
		tr.Free()
	})
}

// Every storage trains: the loss on one batch, seen over and over, falls, and the
// growth does not undo it.
func TestStoragesTrain(t *testing.T) {
	for name, s := range map[string]model.Storage{
		"paper":  {Precision: model.BF16, States: model.PaperStates, Gradients: model.BF16},
		"split":  {Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16},
		"flash8": {Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16},
		"split release": {Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
			Release: true},
		"flash8 release, int8": {Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16,
			Release: true, Frozen: model.Int8},
		"f32, int8": {Precision: model.F32, States: model.FullStates, Gradients: model.F32,
			Frozen: model.Int8},
	} {
		t.Run(name, func(t *testing.T) {
			d := gputest.Adapter(t)
			o := recipetest.Tiny()
			o.Storage, o.Steps, o.Stages, o.Split = s, 90, 3, []int{2, 2, 2}
			tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(1, o.Batch, o.Model.Vocab, 3))
			all := trainStage(t, tr)
			for tr.Due() {
				before := all[len(all)-1].Loss
				advance(t, tr)
				more := trainStage(t, tr)
				if more[0].Loss > before+0.5 {
					t.Errorf("growth takes the loss from %.3f to %.3f", before, more[0].Loss)
				}
				all = append(all, more...)
			}
			if first, last := all[0].Loss, all[len(all)-1].Loss; !(last < 0.5*first) {
				t.Errorf("from a loss of %.3f to %.3f", first, last)
			}
			tr.Free()
		})
	}
}

// What does not go together is refused before anything is allocated.
func TestStorageOfRecipes(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		spoil  func(*recipe.Options)
		want   []string
	}{
		"release with accumulation": {"step", func(o *recipe.Options) { o.Storage.Release, o.GradAccum = true, 4 },
			[]string{"4 micro-batches", "[use grad_accum 1]", "[leave out release]"}},
		"int8 where nothing freezes": {"vanilla", func(o *recipe.Options) { o.Storage.Frozen = model.Int8 },
			[]string{"int8", "vanilla", "freezes nothing"}},
		"flash8 with f32": {"step", func(o *recipe.Options) { o.Storage.States = model.Flash8States },
			[]string{"flash8", "f32"}},
		"flash8 with moments that stick": {"step", func(o *recipe.Options) {
			o.Storage = model.Storage{Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16}
			o.Optimizer.Settings = recipetest.AdamW(0.9, 0.999)
		}, []string{"flash8", "0.999", "[use beta2 0.99 or less]", "[use states split]"}},
		"recomputation of another kind": {"step", func(o *recipe.Options) { o.Recompute = "half" },
			[]string{`"half"`, "block"}},
		"rows of logits": {"step", func(o *recipe.Options) { o.Batch.HeadRows = -1 },
			[]string{"-1 rows"}},
		"split by": {"step", func(o *recipe.Options) { o.SplitBy = "luck" },
			[]string{`"luck"`, "real", "paper"}},
	} {
		o := recipetest.Tiny()
		c.spoil(&o)
		_, err := recipe.NewRecipe(c.method, o)
		t.Run(name, func(t *testing.T) { recipetest.WantError(t, err, c.want...) })
	}
	o := recipetest.Tiny()
	o.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: recipe.GradientsAuto}
	for accum, want := range map[int]string{1: model.BF16, 4: model.F32} {
		o.GradAccum = accum
		if r := recipetest.Must(t, "step", o); r.Storage.Gradients != want || r.Storage.Frozen != model.BF16 {
			t.Errorf("%d micro-batches: gradients of %s, frozen weights of %s", accum, r.Storage.Gradients,
				r.Storage.Frozen)
		}
	}
}
