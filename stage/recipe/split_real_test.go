package recipe_test

import (
	"math/rand/v2"
	"testing"

	"steplm/gpu"
	"steplm/model"
	. "steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
)

// The affine formula is the plan, in every storage.
func TestRealStageBytesIsThePlan(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 1))
	for _, s := range []model.Storage{
		model.FullStorage, {Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
			Frozen: model.BF16},
		{Precision: model.BF16, States: model.Flash8States, Gradients: model.BF16, Frozen: model.Int8, Release: true},
	} {
		for _, change := range []func(*Options){
			func(*Options) {}, func(o *Options) { o.Model.Tied, o.Batch.Recompute = true, true },
			func(o *Options) { o.TrainEmbedding, o.TrainHead, o.TrainNorms = false, false, false },
		} {
			o := recipetest.Tiny()
			o.Storage = s
			change(&o)
			bytes := o.RealStageBytes()
			for range 20 {
				added, before := 1+g.IntN(12), g.IntN(12)
				want := gpu.Plan(gpu.OwnSpecs(), Recipe{Batch: o.Batch, Optimizer: o.Optimizer}.Specs(
					o.StageLayout(added, before))).Total()
				if got := bytes(added, before); got != want {
					t.Fatalf("%+v: %d layers on %d: %d bytes, planned are %d", s, added, before, got, want)
				}
			}
		}
	}
}
