package recipe_test

import (
	"slices"
	"strings"
	"testing"

	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
)

// from is options of a run of so many layers that begins with a model of others.
func from(there, layers, stages int, edit func(*recipe.Options)) recipe.Options {
	o := recipetest.Tiny()
	o.Model.Layers, o.Stages, o.Split = layers, stages, nil
	o.Init = &recipe.Init{Weights: "abc", Layers: there, Vocab: o.Model.Vocab}
	if edit != nil {
		edit(&o)
	}
	return o
}

// A run from a model: what its stages consist of, and what the layers that were there do.
func TestInit(t *testing.T) {
	freeze := func(o *recipe.Options) { o.InitLayers = recipe.InitFreeze }
	oneCourse := func(o *recipe.Options) {
		o.InitLayers, o.Over, o.Warmup, o.Steps = recipe.InitFreeze, recipe.OverRun, -1, 40
	}
	for _, c := range []struct {
		name   string
		method string
		o      recipe.Options
		layers []int // of the stages
		frozen []int // in them
	}{
		{"continue", "vanilla", from(4, 4, 1, nil), []int{4}, []int{0}},
		{"train first", "step", from(3, 6, 2, nil), []int{3, 6}, []int{0, 3}},
		{"train first, three stages", "step", from(2, 6, 3, nil), []int{2, 4, 6}, []int{0, 2, 4}},
		{"freeze at once", "step", from(4, 6, 1, freeze), []int{6}, []int{4}},
		{"freeze at once, two stages", "step", from(2, 6, 2, freeze), []int{4, 6}, []int{2, 4}},
		{"freeze at once, one course", "step", from(4, 6, 1, oneCourse), []int{6}, []int{4}},
		{"given split", "step", from(4, 6, 2, func(o *recipe.Options) { o.Split = []int{4, 2} }), []int{4, 6},
			[]int{0, 4}},
		{"stack", "stack", from(3, 6, 2, nil), []int{3, 6}, []int{0, 0}},
		{"LoRA", "lora", from(4, 4, 1, nil), []int{4}, []int{4}},
	} {
		r, err := recipe.NewRecipe(c.method, c.o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		layouts, err := r.Layouts()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var layers, frozen []int
		for _, l := range layouts {
			n := 0
			for _, b := range l.Blocks {
				if b.Frozen {
					n++
				}
			}
			layers, frozen = append(layers, len(l.Blocks)), append(frozen, n)
		}
		if !slices.Equal(layers, c.layers) || !slices.Equal(frozen, c.frozen) {
			t.Errorf("%s: layers %v, frozen %v, want %v, %v", c.name, layers, frozen, c.layers, c.frozen)
		}
		if want := recipe.WarmupOf(c.o.Warmup, c.o.Steps); r.Stages[0].Entry.Warmup() != want {
			t.Errorf("%s: it warms up for %d steps, want %d", c.name, r.Stages[0].Entry.Warmup(), want)
		}
		begins, err := r.Begin()
		if err != nil || len(begins.Before.Blocks) != c.o.Init.Layers {
			t.Errorf("%s: it begins with %d blocks, want %d: %v", c.name, len(begins.Before.Blocks), c.o.Init.Layers,
				err)
		}
	}
}

func TestInitRefuses(t *testing.T) {
	for _, c := range []struct {
		method, want string
		o            recipe.Options
	}{
		{"vanilla", "has 4 layers, the run's 6, and method vanilla does not grow", from(4, 6, 1, nil)},
		{"step", "has 6 layers, as many as the run's", from(6, 6, 2, nil)},
		{"step", "has 7 layers, the run's 6: layers are not taken away", from(7, 6, 2, nil)},
		{"step", "trains in one", from(4, 6, 1, nil)},
		{"step", "split [3 3]: the first stage has the 4 layers", from(4, 6, 2, func(o *recipe.Options) {
			o.Split = []int{3, 3}
		})},
		{"step", "split [4 2]: the first stage has the 4 layers that freeze at once", from(4, 6, 2,
			func(o *recipe.Options) { o.Split, o.InitLayers = []int{4, 2}, recipe.InitFreeze })},
		{"stack", "method stack freezes no layers", from(3, 6, 2, func(o *recipe.Options) {
			o.InitLayers = recipe.InitFreeze
		})},
		{"step", "growth that freezes nothing", from(4, 6, 1, func(o *recipe.Options) {
			o.InitLayers, o.NoFreeze = recipe.InitFreeze, true
		})},
		{"step", `"sometimes": choose one of train, freeze`, from(4, 6, 2, func(o *recipe.Options) {
			o.InitLayers = "sometimes"
		})},
		{"step", "where it begins with none", from(4, 6, 2, func(o *recipe.Options) {
			o.Init, o.InitLayers = nil, recipe.InitTrain
		})},
		{"vanilla", "tokens are not taken away", from(4, 4, 1, func(o *recipe.Options) { o.Init.Vocab++ })},
	} {
		if _, err := recipe.NewRecipe(c.method, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.method, err, c.want)
		}
	}
}

// A block keeps what it has when growth moves it: layers without rotary positions go with the model that a run begins
// with, and a run from random weights whose growth would put them elsewhere is refused.
func TestRopeLayersGrow(t *testing.T) {
	o := from(2, 4, 2, func(o *recipe.Options) { o.Init.RopeLayers = "10" })
	r, err := recipe.NewRecipe("step", o)
	if err != nil || strings.Count(r.Model.RopeLayers, "1") == 0 || strings.Count(r.Model.RopeLayers, "0") == 0 ||
		len(r.Model.RopeLayers) != 4 {
		t.Errorf("layers with rotary positions %q: %v", r.Model.RopeLayers, err)
	}
	o.Init, o.Model.RopeLayers = nil, "1010"
	if _, err := recipe.NewRecipe("step", o); err == nil ||
		!strings.Contains(err.Error(), "layers with rotary positions") {
		t.Errorf("error %v", err)
	}
	o.Stages = 1
	if _, err := recipe.NewRecipe("vanilla", o); err != nil {
		t.Error(err)
	}
}
