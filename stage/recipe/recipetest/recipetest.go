// Package recipetest makes small runs for tests of recipes and of what they are for.
package recipetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"steplm/model"
	"steplm/model/advice"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/recipe/growth"
)

// Tiny is a STEP run of 6 layers in 2 stages that trains in
// milliseconds; the tests change what they are about.
func Tiny() recipe.Options {
	return recipe.Options{
		Model: model.Config{
			Hidden: 16, FFN: 24, Layers: 6, Heads: 2, KVHeads: 1, Vocab: 32, MaxSeqLen: 16, NormEps: 1e-5,
			RopeTheta: 10000,
		},
		Storage: model.FullStorage, Recompute: recipe.RecomputeNone, SplitBy: recipe.SplitPaper, Seed: 7, Steps: 12,
		Batch: model.Size{Batch: 2, SeqLen: 8}, GradAccum: 1,
		Optimizer: optim.Config{Settings: AdamW(0.9, 0.95), MaxNorm: 1},
		LR:        []float64{1e-2}, Decay: []float64{0.1}, LoRALR: 1, LoRADecay: 1,
		Schedule: optim.Cosine, Warmup: 2, Rewarm: 1, MinRatio: 0.1,
		Stages: 2, GrowAt: 0.75, Operator: "mean", Position: "upper",
		LoRA:       model.LoRALayout{Rank: 2, Alpha: 4, Targets: model.LinearNames()},
		DecayShare: 0.1, DecayShape: "linear", MergeKeep: 0.1,
		TrainEmbedding: true, TrainHead: true, TrainNorms: true,
	}
}

// Story is STEP from 2 to 4 layers over bytes: 3 steps, growth, 5 steps.
func Story() recipe.Options {
	o := Tiny()
	o.Model.Layers, o.Model.Vocab, o.Steps, o.GradAccum = 4, 257, 8, 2
	o.Model.Hidden, o.Model.FFN, o.Split = 8, 12, []int{2, 2}
	return o
}

// AdamW is AdamW with these betas.
func AdamW(beta1, beta2 float64) optim.AdamW {
	return optim.AdamW{Beta1: beta1, Beta2: beta2, Eps: 1e-8}
}

// Must is the recipe of options that make one.
func Must(t testing.TB, method string, o recipe.Options) recipe.Recipe {
	t.Helper()
	r, err := recipe.NewRecipe(method, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// ErrorText is an error with its advice, if it has some: [lower lr].
func ErrorText(err error) string {
	text := err.Error()
	var a *advice.Error
	if errors.As(err, &a) {
		for _, w := range a.Ways {
			text += " " + WayText(w)
		}
	}
	return text
}

// WayText is a way in short.
func WayText(w advice.Way) (text string) {
	for _, r := range w {
		text += "[" + strings.TrimSpace(fmt.Sprint(r.How, " ", r.Option, " ", r.Value)) + "]"
	}
	return text
}

// WantError checks that an error is there and says all of parts, see ErrorText.
func WantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(ErrorText(err), part) {
			t.Errorf("error %q does not say %q", ErrorText(err), part)
		}
	}
}

// Grow is a growth that can be planned.
func Grow(t testing.TB, before, after int, position, operator string, seed uint64) growth.Growth {
	t.Helper()
	g, err := growth.PlanGrowth(before, after, position, operator, seed)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
