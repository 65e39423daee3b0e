package recipetest

import (
	"slices"
	"testing"

	"steplm/model/advice"
	"steplm/stage/recipe"
)

// restarts is a method that nothing but tests knows. It trains all of the model for five
// steps, freezes its linears under adapters, and every five steps merges them into the weights,
// begins new ones and resets a tenth of their moments. One course of the learning rate goes
// through the whole run, with a warm-up of two steps after each. No transition grows, saves or
// evaluates.
func restarts(o recipe.Options) (recipe.Recipe, error) {
	r := o.Base("restarts")
	r.LoRA = o.LoRA
	r.TrainEmbedding, r.TrainHead, r.TrainNorms = o.TrainEmbedding, o.TrainHead, o.TrainNorms
	o.Stages = 1
	s, err := o.NewStage(0, o.Model.Layers, 5, o.Steps)
	if err != nil {
		return r, err
	}
	r.Stages = append(r.Stages, s)
	s.Schedule = nil
	for at := 5; at < o.Steps; at += 5 {
		verbs := []recipe.Verb{{Do: recipe.Merge}, {Do: recipe.Wrap}, {Do: recipe.Reset, Params: recipe.LoRAParams,
			Keep: 0.9}}
		if at == 5 {
			verbs = []recipe.Verb{{Do: recipe.Freeze}, {Do: recipe.Wrap}}
		}
		s.Entry.Verbs, s.Steps = append(verbs, recipe.RewarmOver(2)...), min(5, o.Steps-at)
		r.Stages = append(r.Stages, s)
	}
	return r, nil
}

// Restarts are options of a run of 17 steps by a toy method, which the list of methods has until the test ends.
func Restarts(t testing.TB) recipe.Options {
	t.Helper()
	before := recipe.Methods
	recipe.Methods = append(slices.Clone(before), recipe.Method{Name: "restarts", Build: restarts,
		Uses: []advice.Option{advice.Rank, advice.Alpha, advice.LoRATargets}})
	t.Cleanup(func() { recipe.Methods = before })
	o := Story()
	o.Steps, o.LoRA.Rank = 17, 3
	return o
}
