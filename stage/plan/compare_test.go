package plan

import (
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
)

// Under a limit every method has the largest batch that fits: one window more does not. Splits are the best for each
// optimizer.
func TestCompare(t *testing.T) {
	o := planOptions(plannedModel, 8, 2)
	one, err := Compare(o, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	limit := int64(0)
	for _, w := range one.Rows {
		if w.Batch != 0 || w.Model != "" {
			t.Errorf("into one byte fits %+v", w)
		}
		limit = max(limit, w.OneBytes)
	}
	limit = limit * 5 / 4
	c, err := Compare(o, limit, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := (len(recipe.Methods)-1)*len(optim.Kinds) + 1; len(c.Rows) != want {
		t.Errorf("%d rows, want %d", len(c.Rows), want)
	}
	splits, batches := map[string][]int{}, map[string]int{}
	for _, w := range c.Rows {
		if w.Refused != "" {
			t.Errorf("%s with %s: %s", w.Method, w.Optimizer, w.Refused)
			continue
		}
		if w.Batch < 1 || w.PeakBytes > limit || w.PeakBytes < w.OneBytes {
			t.Errorf("%+v, limit %d", w, limit)
		}
		of := anyTraining(o)
		if of, err = of.Resolved(); err != nil {
			t.Fatal(err)
		}
		if _, more, err := w.peak(of, w.Batch+1); err != nil || more.peak <= limit {
			t.Errorf("%s with %s: %d windows would fit too (%d of %d bytes, %v)", w.Method, w.Optimizer, w.Batch+1,
				more.peak, limit, err)
		}
		if w.Method == "step" || w.Method == "vanilla" {
			settings, _, err := optim.Choose(w.Optimizer, o.Model, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			of.Optimizer.Settings, of.Batch.Batch, of.GradAccum = settings, w.Batch, 1
			of.Split, of.SplitBy = nil, recipe.SplitReal
			r := recipetest.Must(t, w.Method, of)
			layouts, err := r.Layouts()
			if err != nil {
				t.Fatal(err)
			}
			peak := int64(0)
			for _, l := range layouts {
				peak = max(peak, gpu.Plan(gpu.OwnSpecs(), r.Specs(l)).Total())
			}
			if peak != w.PeakBytes {
				t.Errorf("%s with %s: %d bytes, its recipe takes %d", w.Method, w.Optimizer, w.PeakBytes, peak)
			}
			if w.Method == "step" {
				splits[w.Optimizer] = w.Split
			}
		}
		batches[w.Method+" "+w.Optimizer] = w.Batch
	}
	if batches["vanilla scale"] <= batches["vanilla adamw"] || batches["lora adamw"] <= batches["vanilla adamw"] {
		t.Errorf("batches %v", batches)
	}
	if slices.Equal(splits["adamw"], splits["scale"]) { // A trained weight takes 16 bytes, and 8.
		t.Errorf("splits %v", splits)
	}
}

// What does not go together says why, and the largest preset is named.
func TestCompareModels(t *testing.T) {
	preset, err := model.Preset("60m")
	if err != nil {
		t.Fatal(err)
	}
	o := planOptions(preset, 32, 2)
	o.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: recipe.GradientsAuto}
	o.Batch.SeqLen = 128
	c, err := Compare(o, 700<<20, 0)
	if err != nil {
		t.Fatal(err)
	}
	size := func(method, optimizer string) int {
		i := slices.IndexFunc(c.Rows, func(w Within) bool { return w.Method == method && w.Optimizer == optimizer })
		return slices.Index(model.Presets(), c.Rows[i].Model)
	}
	if size("vanilla", "adamw") < 0 || size("vanilla", "scale") <= size("vanilla", "adamw") {
		t.Errorf("%+v", c.Rows)
	}
	o = planOptions(plannedModel, 8, 2)
	o.Storage = model.Storage{Precision: model.BF16, States: model.Flash8States, Gradients: recipe.GradientsAuto}
	if c, err = Compare(o, 700<<20, 0); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, w := range c.Rows {
		if w.Refused != "" {
			refused++
		}
	}
	if refused == 0 || refused == len(c.Rows) {
		t.Errorf("%d of %d rows are refused with states %s", refused, len(c.Rows), model.Flash8States)
	}
}
