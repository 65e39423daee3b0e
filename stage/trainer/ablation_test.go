package trainer

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/trainer/trainertest"
)

// Blocks whose outputs are zero leave the function as it was, bit for bit, in every storage, and learn.
func TestSilentGrowthKeepsTheFunction(t *testing.T) {
	for name, s := range storages(t) {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				o := recipetest.Tiny()
				o.Storage, o.Operator, o.NoLoRA, o.Split = s, "zero", true, []int{2, 4}
				batches := trainertest.Random(4, o.Batch, o.Model.Vocab, 3)
				tr := newTrainer(t, d, recipetest.Must(t, "step", o), batches)
				trainStage(t, tr)
				held := batches.Batches[0]
				was := logits(t, tr, held)
				advance(t, tr)
				if is := logits(t, tr, held); !sameBits(is, was) {
					t.Errorf("logits moved by %g", largestGap(is, was))
				}
				takeSteps(t, tr, 2)
				if now := logits(t, tr, held); sameBits(now, was) {
					t.Error("nothing was learned")
				}
			})
		})
	}
}

// storages are those of tests that go over all states.
func storages(t *testing.T) map[string]model.Storage {
	t.Helper()
	all := map[string]model.Storage{model.FullStates: model.FullStorage}
	for _, states := range model.SmallerStates(model.PaperStates) {
		all[states] = model.Storage{Precision: model.BF16, States: states, Gradients: model.BF16}
	}
	all[model.PaperStates] = model.Storage{Precision: model.BF16, States: model.PaperStates, Gradients: model.BF16}
	return all
}

// Without LoRA the frozen linears stay as they are and the rest trains; without freezing everything does, and
// keeps or forgets its moments as the options say.
func TestAblationsTrainWhatTheySay(t *testing.T) {
	d := gpu.NewHost()
	moved := func(change func(*recipe.Options)) (map[string]bool, *Trainer, map[string][]uint32) {
		o := recipetest.Tiny()
		o.Split = []int{2, 4}
		change(&o)
		tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(4, o.Batch, o.Model.Vocab, 3))
		trainStage(t, tr)
		advance(t, tr)
		moments := contents(t, tr)
		before := snapshot(t, tr)
		takeSteps(t, tr, 2)
		list := map[string]bool{}
		for name, w := range snapshot(t, tr) {
			list[name] = !sameBits(w, before[name])
		}
		return list, tr, moments
	}
	lora := func(list map[string]bool) bool {
		return slices.ContainsFunc(
			slices.Collect(maps.Keys(list)),
			func(n string) bool { return strings.Contains(n, "lora") },
		)
	}
	for _, c := range []struct {
		name             string
		change           func(*recipe.Options)
		old, lora, fresh bool // linears of old blocks train, there is LoRA, moments of old norms begin anew
	}{
		{"STEP", func(*recipe.Options) {}, false, true, true},
		{"no LoRA", func(o *recipe.Options) { o.NoLoRA = true }, false, false, true},
		{"no freezing", func(o *recipe.Options) { o.NoFreeze = true }, true, false, true},
		{"state kept", func(o *recipe.Options) { o.State = recipe.StateKeep }, false, true, false},
		{"no freezing, state kept", func(o *recipe.Options) { o.NoFreeze, o.State = true, recipe.StateKeep }, true,
			false, false},
	} {
		list, tr, moments := moved(c.change)
		if list["blocks.0.wq"] != c.old || lora(list) != c.lora || !list["blocks.3.wq"] {
			t.Errorf("%s: an old linear trains: %t, a new one: %t; there is LoRA: %t", c.name, list["blocks.0.wq"],
				list["blocks.3.wq"], lora(list))
		}
		zero := !slices.ContainsFunc(moments["optimizer blocks.0.attn_norm.m"], func(w uint32) bool { return w != 0 })
		if zero != c.fresh {
			t.Errorf("%s: moments of an old norm begin anew: %t", c.name, zero)
		}
		tr.Free()
	}
}

// Where moments are kept, those of LoRA that was merged are not those of the LoRA that takes its names.
func TestMergedLoRALeavesNoMoments(t *testing.T) {
	o := recipetest.Tiny()
	o.Stages, o.Split, o.State = 3, []int{2, 2, 2}, recipe.StateKeep
	tr := newTrainer(t, gpu.NewHost(), recipetest.Must(t, "step", o),
		trainertest.Random(4, o.Batch, o.Model.Vocab, 3))
	defer tr.Free()
	for range 2 {
		trainStage(t, tr)
		advance(t, tr)
	}
	held := contents(t, tr)
	for name, kept := range map[string]bool{"blocks.0.wq.lora_a.m": false, "blocks.0.wq.lora_b.m": false,
		"blocks.0.attn_norm.m": true} {
		words, there := held["optimizer "+name]
		if some := slices.ContainsFunc(words, func(w uint32) bool { return w != 0 }); !there || some != kept {
			t.Errorf("%s is there: %t, and not zero: %t, want %t", name, there, some, kept)
		}
	}
}

// A rank-stabilized LoRA weighs alpha over the root of its rank, in training, merges and logits.
func TestRankStabilized(t *testing.T) {
	d := gpu.NewHost()
	grown := func(scale float64, change func(*recipe.Options)) map[string][]uint32 {
		o := recipetest.Tiny()
		o.Split, o.LoRA.Rank, o.LoRA.Alpha = []int{2, 4}, 4, 6
		change(&o)
		tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(4, o.Batch, o.Model.Vocab, 3))
		takeTo(t, tr, tr.Recipe.Steps())
		if got := float64(tr.Model.Blocks[0].WQ.LoRA.Scale); math.Abs(got-scale) > 1e-6 {
			t.Errorf("scale %g, want %g", got, scale)
		}
		defer tr.Free()
		return contents(t, tr)
	}
	a := grown(1.5, func(*recipe.Options) {})
	b := grown(3, func(o *recipe.Options) { o.LoRA.RankStabilized = true })
	c := grown(3, func(o *recipe.Options) { o.LoRA.Alpha = 12 }) // 12/4 = 6/sqrt(4)
	if maps.EqualFunc(a, b, slices.Equal) || !maps.EqualFunc(b, c, slices.Equal) {
		t.Error("rank-stabilized LoRA trains as if its scale were another")
	}
}
