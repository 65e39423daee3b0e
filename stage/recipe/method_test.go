package recipe_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/model"
	"steplm/model/optim"
	. "steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
)

// told is a recipe's stages in short: layers, steps, course and verbs.
func told(r Recipe) (list []string) {
	for _, s := range r.Stages {
		words := []string{fmt.Sprintf("%d layers, %d steps", s.Layers, s.Steps)}
		if c := s.Schedule; c != nil {
			words = append(words, fmt.Sprintf("%s over %d", c.Kind, c.Steps))
		}
		for _, v := range s.Entry.Verbs {
			text := v.Do
			for _, operand := range []string{v.Operator, v.Position, v.Round, v.Params, v.By} {
				text = strings.TrimSuffix(text+" "+operand, " ")
			}
			if v.Steps > 0 {
				text += fmt.Sprint(" ", v.Steps)
			}
			words = append(words, text)
		}
		list = append(list, strings.Join(words, "; "))
	}
	return list
}

// What every method makes of its options, and every ablation of STEP.
func TestMethodsTell(t *testing.T) {
	for _, c := range []struct {
		name, method string
		change       func(*Options)
		want         []string
	}{
		{"step", "step", nil, []string{"3 layers, 34 steps; cosine over 46; rewarm 2",
			"6 layers, 46 steps; cosine over 46; grow mean upper; merge; freeze; wrap; reset all; rewarm 1"}},
		{"without LoRA", "step", func(o *Options) { o.NoLoRA = true },
			[]string{"3 layers, 34 steps; cosine over 46; rewarm 2",
				"6 layers, 46 steps; cosine over 46; grow mean upper; freeze; reset all; rewarm 1"}},
		{"without freezing", "step", func(o *Options) { o.NoFreeze = true }, []string{
			"3 layers, 34 steps; cosine over 46; rewarm 2",
			"6 layers, 46 steps; cosine over 46; grow mean upper; reset all; rewarm 1"}},
		{"LoRA kept, state kept, another position", "step", func(o *Options) {
			o.KeepLoRA, o.State, o.Operator, o.Position = true, StateKeep, "copy_upper", "random"
		}, []string{"3 layers, 34 steps; cosine over 46; rewarm 2",
			"6 layers, 46 steps; cosine over 46; grow copy_upper random; freeze; wrap; rewarm 1"}},
		{"another fraction and re-warm-up", "step", func(o *Options) { o.GrowAt, o.Rewarm = 0.25, 4 }, []string{
			"3 layers, 16 steps; cosine over 64; rewarm 2",
			"6 layers, 64 steps; cosine over 64; grow mean upper; merge; freeze; wrap; reset all; rewarm 4"}},
		{"WSD: one course, no decay between", "step", func(o *Options) { o.Schedule, o.Rewarm = "wsd", 0 }, []string{
			"3 layers, 34 steps; wsd over 80; rewarm 2",
			"6 layers, 46 steps; grow mean upper; merge; freeze; wrap; reset all"}},
		{"WSD in each stage", "step", func(o *Options) { o.Schedule, o.Over = "wsd", OverStage }, []string{
			"3 layers, 34 steps; wsd over 46; rewarm 2",
			"6 layers, 46 steps; wsd over 46; grow mean upper; merge; freeze; wrap; reset all; rewarm 1"}},
		{"relora", "relora", func(o *Options) { o.Warmup = -1 },
			[]string{"6 layers, 20 steps; cosine over 80; rewarm 4",
				"6 layers, 21 steps; jagged_cosine over 60; freeze; wrap; reset all",
				"6 layers, 20 steps; merge; wrap; reset lora",
				"6 layers, 19 steps; merge; wrap; reset lora"}},
		{"relora from the start, merges rounded", "relora", func(o *Options) {
			o.WarmStart, o.MergeEvery, o.MergeKeepBy, o.Schedule = pointer(0.0), pointer(40), optim.AtRandom, "linear"
			o.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16}
		}, []string{"6 layers, 41 steps; linear over 80; freeze; wrap; rewarm 2",
			"6 layers, 39 steps; merge stochastic; wrap; reset lora random; rewarm 1"}},
		{"lora", "lora", nil, []string{"6 layers, 80 steps; cosine over 80; freeze; wrap; rewarm 2"}},
		{"lora after a warm start", "lora", func(o *Options) { o.WarmStart, o.State = pointer(0.1), StateKeep },
			[]string{
				"6 layers, 8 steps; cosine over 80; rewarm 2",
				"6 layers, 72 steps; cosine over 72; freeze; wrap; rewarm 1"}},
		{"galore", "galore", func(o *Options) {
			settings, _, err := optim.Choose("galore", o.Model, nil, 1)
			if err != nil {
				panic(err)
			}
			o.Optimizer.Settings, o.Warmup = settings, -1
		}, []string{"6 layers, 80 steps; cosine over 80; rewarm 8"}},
		{"stack", "stack", func(o *Options) { o.Operator, o.Rewarm = "", -1 }, []string{
			"1 layers, 60 steps; wsd over 80; rewarm 2", "6 layers, 20 steps; grow stack upper"}},
		{"stack by interpolation, fresh", "stack", func(o *Options) {
			o.Split, o.State, o.Rewarm, o.GrowAt = []int{2, 4}, StateFresh, 3, 0.5
		}, []string{"2 layers, 40 steps; wsd over 80; rewarm 2",
			"6 layers, 40 steps; grow mean upper; reset all; rewarm 3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := recipetest.Tiny()
			o.Steps, o.Schedule = 80, ""
			if c.method == "step" {
				o.Split = []int{3, 3}
			}
			if c.change != nil {
				c.change(&o)
			}
			r := recipetest.Must(t, c.method, o)
			if diff := cmp.Diff(c.want, told(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if r.Steps() != 80 {
				t.Errorf("%d steps", r.Steps())
			}
			if about := r.About(); len(about) < 60 || strings.Contains(about, "%!") {
				t.Errorf("it is told as %q", about)
			}
		})
	}
}

// ReLoRA merges after the updates at which its program does, and its rates are those of its cosine, counted
// from the warm start.
func TestReLoRATimeline(t *testing.T) {
	o := recipetest.Tiny()
	o.Steps, o.WarmStart, o.MergeEvery, o.Warmup, o.Rewarm, o.LR = 2500, pointer(
		0.2,
	), pointer(
		500,
	), 50, 10, []float64{
		1,
		3,
	}
	r := recipetest.Must(t, "relora", o)
	done, merges := 0, []int{}
	for _, s := range r.Stages {
		if len(s.Entry.Verbs) > 0 && s.Entry.Verbs[0].Do == Merge {
			merges = append(merges, done-500)
		}
		done += s.Steps
	}
	if !slices.Equal(merges, []int{501, 1001, 1501}) {
		t.Errorf("merges after updates %v", merges)
	}
	schedule := r.Schedule()
	for update, want := range map[int]float64{1: 0, 2: 0.02, 51: 1, 500: 0.88731015194, 501: 0, 502: 0.0881978806531,
		511: 0.881978806531, 1000: 0.568844044178, 1001: 0, 1501: 0} {
		if got := schedule.At(500 + update - 1); got < want-1e-9 || got > want+1e-9 {
			t.Errorf("update %d has rate %g, want %g", update, got, want)
		}
	}
	if r.Stages[0].LR != 1 || r.Stages[1].LR != 3 || r.Stages[3].LR != 3 {
		t.Errorf("peaks %g, %g, %g", r.Stages[0].LR, r.Stages[1].LR, r.Stages[3].LR)
	}
}

// What methods refuse.
func TestMethodsRefuse(t *testing.T) {
	for _, c := range []struct {
		name, method string
		change       func(*Options)
		want         []string
	}{
		{"stack of one layer, mixed", "stack", func(o *Options) { o.Operator = "mean" },
			[]string{"one layer", "mean", "[use operator stack]", "[use split 2,4]"}},
		{"galore by another optimizer", "galore", func(o *Options) {},
			[]string{"method galore with optimizer adamw", "[leave out optimizer]", "[use method vanilla]"}},
		{"stack of the whole", "stack", func(o *Options) { o.Model.Layers = 1 }, []string{"from 1 layers to 1"}},
		{"stack with three parts", "stack", func(o *Options) { o.Split = []int{1, 2, 3} }, []string{"[1 2 3]",
			"2 stages"}},
		{"stack at the end", "stack", func(o *Options) { o.GrowAt = 1 }, []string{"fraction 1", "below 1"}},
		{"stack in the decay", "stack", func(o *Options) { o.GrowAt = 0.95 },
			[]string{"growth after step 76 of 80", "decays from step 72", "[lower grow_at]", "[lower decay_share]"}},
		{"stack of one step", "stack", func(o *Options) { o.Steps = 1 }, []string{"1 steps are too few", "1 and 0"}},
		{"step in the decay", "step", func(o *Options) { o.Schedule, o.DecayShare = "wsd", 0.9 },
			[]string{"growth after step 34 of 80", "decays from step 8"}},
		{"no decay", "vanilla", func(o *Options) { o.Schedule, o.DecayShare = "wsd", 0 }, []string{"share 0",
			"above 0"}},
		{"unknown decay", "vanilla", func(o *Options) { o.Schedule, o.DecayShape = "wsd", "step" }, []string{`"step"`,
			"1-sqrt"}},
		{"unknown state", "step", func(o *Options) { o.State = "old" }, []string{`"old"`, "fresh, keep"}},
		{"unknown course", "step", func(o *Options) { o.Over = "epoch" }, []string{`"epoch"`, "stage, run"}},
		{"relora without LoRA", "relora", func(o *Options) { o.NoLoRA = true }, []string{"relora",
			"[leave out no_lora]"}},
		{"lora without freezing", "lora", func(o *Options) { o.NoFreeze = true }, []string{"lora",
			"[leave out no_freeze]"}},
		{"merges every 0 steps", "relora", func(o *Options) { o.MergeEvery = pointer(0) }, []string{"every 0 steps",
			"1 or more"}},
		{"merges never", "relora", func(o *Options) { o.MergeEvery = pointer(59) },
			[]string{"every 59 steps", "trains 60", "[lower merge_every]", "[use method lora]"}},
		{"too many merges", "relora", func(o *Options) { o.Steps, o.MergeEvery = 9000, pointer(1) },
			[]string{"every 1 of 6750 steps", "1000", "[raise merge_every]"}},
		{"all moments kept", "relora", func(o *Options) { o.MergeKeep = 1 }, []string{"share of 1"}},
		{"moments kept by chance", "relora", func(o *Options) { o.MergeKeepBy = "chance" }, []string{`"chance"`,
			"random"}},
		{"a warm-up above the cycle", "relora", func(o *Options) { o.Warmup, o.MergeEvery = 6, pointer(5) },
			[]string{"warm-up of 6 steps", "restarts every 5"}},
		{"a re-warm-up above the cycle", "relora", func(o *Options) { o.Rewarm, o.MergeEvery = 6, pointer(5) },
			[]string{"warm-up of 6 steps after restarts every 5"}},
		{"merges into int8", "relora", func(o *Options) {
			o.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
				Frozen: model.Int8}
		}, []string{"int8", "merges", "[leave out frozen]"}},
		{"int8 from the start", "lora", func(o *Options) {
			o.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
				Frozen: model.Int8}
		}, []string{"int8", "initial weights", "[leave out frozen]"}},
		{"nothing frozen in int8", "step", func(o *Options) {
			o.NoFreeze, o.Split = true, []int{3, 3}
			o.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
				Frozen: model.Int8}
		}, []string{"freezes nothing"}},
		{"all warm start", "lora", func(o *Options) { o.WarmStart = pointer(1.0) }, []string{"share 1", "below 1"}},
		{"a warm start of no step", "relora", func(o *Options) { o.WarmStart = pointer(0.001) },
			[]string{"80 steps are too few",
				"0 and LoRA 80"}},
		{"rank above the matrix", "lora", func(o *Options) { o.LoRA.Rank = 9 }, []string{"rank 9", "wk"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := recipetest.Tiny()
			o.Steps, o.Schedule, o.Operator = 80, "", ""
			c.change(&o)
			_, err := NewRecipe(c.method, o)
			recipetest.WantError(t, err, c.want...)
		})
	}
}

// The split that is best by what is allocated knows whether old layers are frozen, and have LoRA.
func TestRealSplitOfAblations(t *testing.T) {
	o := recipetest.Tiny()
	o.Stages, o.Steps, o.SplitBy = 2, 80, SplitReal
	cost := map[string]int64{}
	for name, change := range map[string]func(*Options){"step": func(*Options) {},
		"no LoRA":   func(o *Options) { o.NoLoRA = true },
		"no freeze": func(o *Options) { o.NoFreeze = true }} {
		c := o
		change(&c)
		cost[name] = c.RealStageBytes()(3, 3)
		paper, err := c.PaperBytes()
		if err != nil {
			t.Fatal(err)
		}
		cost["paper, "+name] = paper(3, 3)
	}
	for _, by := range []string{"", "paper, "} {
		if !(cost[by+"no LoRA"] < cost[by+"step"] && cost[by+"step"] < cost[by+"no freeze"]) {
			t.Errorf("bytes %v", cost)
		}
	}
}
