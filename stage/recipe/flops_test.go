package recipe_test

import (
	"math"
	"testing"

	"steplm/model"
	"steplm/model/optim"
	. "steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
)

// A budget is spent to the last step that fits, by every method; one that is too small for the shortest run says how
// much that takes.
func TestStepsWithin(t *testing.T) {
	for _, method := range MethodNames() {
		o := recipetest.Tiny()
		if method == "galore" {
			settings, _, err := optim.Choose(method, o.Model, nil, 1)
			if err != nil {
				t.Fatal(err)
			}
			o.Optimizer.Settings = settings
		}
		o.Schedule, o.Operator, o.Rewarm, o.Warmup = "", "", -1, 0
		flops := func(steps int) float64 {
			t.Helper()
			o := o
			o.Steps = steps
			f, err := recipetest.Must(t, method, o).FLOPs()
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		for _, steps := range []int{20, 21, 333} {
			for _, budget := range []float64{flops(steps), (flops(steps) + flops(steps+1)) / 2} {
				if got, err := StepsWithin(method, o, budget); err != nil || got != steps {
					t.Errorf("%s: %d steps fit into %g (%v), want %d", method, got, budget, err, steps)
				}
			}
		}
		_, err := StepsWithin(method, o, 10)
		recipetest.WantError(t, err, "budget of 10 operations is too small", "method "+method, "[raise flops]")
		for _, bad := range []float64{0, -1, math.NaN()} {
			_, err := StepsWithin(method, o, bad)
			recipetest.WantError(t, err, "above 0")
		}
		o.LR = nil
		_, err = StepsWithin(method, o, 1e12)
		recipetest.WantError(t, err, "0 learning rates")
	}
}

// What is counted, by hand: products of one micro-batch times micro-batches, stage by stage, and the optimizer's.
// Recomputation is not.
func TestFLOPs(t *testing.T) {
	o := recipetest.Tiny()
	o.GradAccum, o.Split, o.Steps = 3, []int{2, 4}, 10
	r := recipetest.Must(t, "step", o)
	layouts, err := r.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	want := 0.0
	for i, l := range layouts {
		f := l.FLOPs(o.Batch)
		want += float64(r.Stages[i].Steps) * 3 * (f.Forward + f.Backward)
	}
	got, err := r.FLOPs()
	if err != nil || got != want {
		t.Errorf("%g operations (%v), want %g", got, err, want)
	}
	frozen := layouts[1].FLOPs(o.Batch)
	whole := model.Plain(o.Model, 6).FLOPs(o.Batch)
	if frozen.WeightGradients*3 != whole.WeightGradients*2 || frozen.LoRA == 0 || whole.LoRA != 0 {
		t.Errorf("4 of 6 layers train: weight gradients %g of %g, LoRA %g", frozen.WeightGradients,
			whole.WeightGradients, frozen.LoRA)
	}
	o.Recompute = RecomputeBlock
	if again, err := recipetest.Must(t, "step", o).FLOPs(); err != nil || again != got {
		t.Errorf("with recomputation %g (%v), without %g", again, err, got)
	}

	// 16 x 24 model: linears 16x16, 8x16 (k, v), 24x16 (gate, up), 16x24 (down).
	square, small, wide := 5*(4.0*16*16*16+2*16*16*16), 5*(4.0*8*8*16+2*8*8*8), 5*(4.0*16*16*24+2*16*16*16)
	plain := model.Plain(o.Model, 6)
	muon := optim.Config{Settings: optim.Muon{}}.FLOPs(plain)
	if want := 6 * (2*square + 2*small + 3*wide); muon != want {
		t.Errorf("Muon makes %g operations, want %g", muon, want)
	}
	apollo := optim.Config{Settings: optim.Apollo{Projection: optim.Projection{Rank: 4}}}.FLOPs(plain)
	if want := 6 * 2.0 * 4 * (2*16*16 + 2*8*16 + 3*16*24); apollo != want {
		t.Errorf("APOLLO makes %g operations, want %g", apollo, want)
	}
	// A projection, one back, and a share of the refresh.
	galore := optim.Config{Settings: optim.GaLore{Projection: optim.Projection{Rank: 4, Every: 1e9}}}.FLOPs(plain)
	if math.Abs(galore-2*apollo) > 1e-3*apollo {
		t.Errorf("GaLore makes %g operations, want %g", galore, 2*apollo)
	}
	if n := o.Optimizer.FLOPs(plain); n != 0 {
		t.Errorf("AdamW makes %g", n)
	}
	if n := (optim.Config{Settings: optim.Muon{}}).FLOPs(layouts[1]); n >= muon || n == 0 {
		t.Errorf("of frozen layers Muon makes %g operations, of all %g", n, muon)
	}
}
