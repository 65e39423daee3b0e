package recipe_test

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/model"
	"steplm/model/optim"
	. "steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// recipes are those of the golden files, by name.
func recipes(t *testing.T) map[string]Recipe {
	list := map[string]Recipe{}
	for _, c := range []struct {
		name   string
		method string
		stages int
		keep   bool
	}{
		{"vanilla", "vanilla", 1, false},
		{"step_1", "step", 1, false},
		{"step_2", "step", 2, false},
		{"step_3_merge", "step", 3, false},
		{"step_3_keep", "step", 3, true},
	} {
		o := recipetest.Tiny()
		o.Stages, o.Steps, o.Warmup, o.Rewarm, o.KeepLoRA = c.stages, 400, -1, -1, c.keep
		o.Data = Data{Train: "t", Tokenizer: "k"}
		list[c.name] = recipetest.Must(t, c.method, o)
	}
	return list
}

// others are the golden ones of methods that the format before did not know.
func others(t *testing.T) map[string]Recipe {
	list := map[string]Recipe{}
	for name, change := range map[string]func(*Options) string{
		"relora": func(o *Options) string { return "relora" },
		"relora_bf16": func(o *Options) string {
			o.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16}
			o.WarmStart, o.MergeEvery, o.Schedule, o.MergeKeepBy = pointer(0.0), pointer(150), "constant", "random"
			return "relora"
		},
		"lora":            func(o *Options) string { return "lora" },
		"lora_warm_start": func(o *Options) string { o.WarmStart = pointer(0.5); return "lora" },
		"stack":           func(o *Options) string { return "stack" },
		"step_wsd":        func(o *Options) string { o.Schedule = "wsd"; return "step" },
		"step_ablated": func(o *Options) string {
			o.NoLoRA, o.State, o.Over, o.Operator = true, StateKeep, OverRun, "zero"
			return "step"
		},
	} {
		o := recipetest.Tiny()
		o.Stages, o.Steps, o.Warmup, o.Rewarm, o.Schedule = 3, 400, -1, -1, ""
		o.Data, o.Operator = Data{Train: "t", Tokenizer: "k"}, ""
		list[name] = recipetest.Must(t, change(&o), o)
	}
	return list
}

func pointer[T any](x T) *T { return &x }

// Recipes of the format before are the same runs, and keep the hash that their checkpoints
// name. The files are the golden ones of that time.
func TestRecipesOfFormat2(t *testing.T) {
	for name, now := range recipes(t) {
		golden, err := os.ReadFile(filepath.Join("testdata", "format2", "recipe_"+name+".golden"))
		if err != nil {
			t.Fatal(err)
		}
		text, want, ok := strings.Cut(string(golden), "\nhash ")
		if !ok {
			t.Fatalf("%s: no hash in\n%s", name, golden)
		}
		then, hash, err := Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if d := now.Differences(then); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if want = strings.TrimSpace(want); hash != want {
			t.Errorf("%s: hash %s, want %s", name, hash, want)
		}
	}
}

// A recipe's JSON is in run folders and its hash in checkpoints: neither may
// change by accident.
func TestRecipeGolden(t *testing.T) {
	all := recipes(t)
	maps.Copy(all, others(t))
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			text, err := json.MarshalIndent(r, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%s\nhash %s\n", text, r.Hash())
			file := filepath.Join("testdata", "recipe_"+name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the recipe changed (-golden +now); if that is meant, raise Format and run go test "+
					"-update:\n%s", diff)
			}

			var again Recipe
			if err := json.Unmarshal(text, &again); err != nil {
				t.Fatal(err)
			}
			compact, _ := json.Marshal(r)
			if sum := fmt.Sprintf("%x", sha256.Sum256(compact)); again.Hash() != r.Hash() || r.Hash() != sum {
				t.Errorf("hash %s, after JSON %s, by hand %s", r.Hash(), again.Hash(), sum)
			}
		})
	}
}

func TestRecipeSteps(t *testing.T) {
	o := recipetest.Tiny()
	o.Stages, o.Steps, o.GradAccum = 3, 25, 3
	r := recipetest.Must(t, "step", o)
	if r.Steps() != 25 || r.TokensPerStep() != 2*8*3 {
		t.Errorf("%d steps of %d tokens, want 25 of 48", r.Steps(), r.TokensPerStep())
	}
	// T = round(25/2.5) = 10: 7, 7 and the other 11.
	for _, c := range []struct{ step, stage, in int }{{0, 0, 0}, {6, 0, 6}, {7, 1, 0}, {13, 1, 6}, {14, 2, 0},
		{24, 2, 10}} {
		if stage, in := r.StageOf(c.step); stage != c.stage || in != c.in {
			t.Errorf("step %d is step %d of stage %d, want %d of %d", c.step, in, stage, c.in, c.stage)
		}
	}
}

// Every part of a recipe is in its hash.
func TestRecipeHashSeesEveryOption(t *testing.T) {
	base := recipetest.Must(t, "step", recipetest.Tiny()).Hash()
	for name, change := range map[string]func(*Options){
		"model":           func(o *Options) { o.Model.RopeTheta = 5000 },
		"seed":            func(o *Options) { o.Seed = math.MaxUint64 },
		"steps":           func(o *Options) { o.Steps = 13 },
		"batch":           func(o *Options) { o.Batch.Batch = 3 },
		"grad-accum":      func(o *Options) { o.GradAccum = 2 },
		"optimizer":       func(o *Options) { o.Optimizer.Settings = recipetest.AdamW(0.9, 0.99) },
		"lr":              func(o *Options) { o.LR = []float64{1e-2, 2e-2} },
		"decay":           func(o *Options) { o.Decay = []float64{0, 0.1} },
		"adapter lr":      func(o *Options) { o.LoRALR = 2 },
		"adapter decay":   func(o *Options) { o.LoRADecay = 0 },
		"schedule":        func(o *Options) { o.Schedule = "constant" },
		"warmup":          func(o *Options) { o.Warmup = 0 },
		"rewarm":          func(o *Options) { o.Rewarm = 0 },
		"min ratio":       func(o *Options) { o.MinRatio = 0 },
		"stages":          func(o *Options) { o.Stages = 3 },
		"split":           func(o *Options) { o.Split = []int{1, 5} },
		"grow at":         func(o *Options) { o.GrowAt = 0.5 },
		"operator":        func(o *Options) { o.Operator = "copy" },
		"position":        func(o *Options) { o.Position = "lower" },
		"rank":            func(o *Options) { o.LoRA.Rank = 3 },
		"alpha":           func(o *Options) { o.LoRA.Alpha = 3 },
		"targets":         func(o *Options) { o.LoRA.Targets = []string{"wq"} },
		"keep":            func(o *Options) { o.KeepLoRA = true },
		"no lora":         func(o *Options) { o.NoLoRA = true },
		"no freeze":       func(o *Options) { o.NoFreeze = true },
		"state":           func(o *Options) { o.State = StateKeep },
		"schedule over":   func(o *Options) { o.Over = OverRun },
		"rank-stabilized": func(o *Options) { o.LoRA.RankStabilized = true },
		"train embedding": func(o *Options) { o.TrainEmbedding = false },
		"train head":      func(o *Options) { o.TrainHead = false },
		"train norms":     func(o *Options) { o.TrainNorms = false },
		"data":            func(o *Options) { o.Data.Train = "other" },
		"tokenizer":       func(o *Options) { o.Data.Tokenizer = "other" },
	} {
		o := recipetest.Tiny()
		change(&o)
		if recipetest.Must(t, "step", o).Hash() == base {
			t.Errorf("%s is not in the hash", name)
		}
	}
}

func TestRecipeDifferences(t *testing.T) {
	a := recipetest.Must(t, "step", recipetest.Tiny())
	if d := a.Differences(a); d != "" {
		t.Errorf("a recipe differs from itself: %s", d)
	}
	// Numbers that float64 does not tell apart, or prints as 1e+06.
	b := recipetest.Must(t, "step", recipetest.Tiny())
	b.Seed = 1<<60 + 1
	a.Seed, a.Stages[1].Steps = 1<<60, 1_000_000
	want := fmt.Sprintf("seed is %d there and %d here; stages[1].steps is 1000000 there and %d here", a.Seed, b.Seed,
		b.Stages[1].Steps)
	if d := b.Differences(a); d != want {
		t.Errorf("differences %q\nwant %q", d, want)
	}
	o := recipetest.Tiny()
	o.Model.Hidden, o.Stages, o.Split = 32, 3, []int{1, 1, 4}
	if d := recipetest.Must(t, "step", o).Differences(b); !strings.Contains(d, "; and ") || len(d) > 300 {
		t.Errorf("many differences are not cut short: %s", d)
	}
}

func TestOptionsErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		method string
		change func(*Options)
		want   []string
	}{
		{"unknown method", "stpe", nil, []string{`"stpe"`, "step", "vanilla"}},
		{"no steps", "vanilla", func(o *Options) { o.Steps = 0 }, []string{"0 steps"}},
		{"more stages than layers", "step", func(o *Options) { o.Stages = 7 }, []string{"6 layers", "7 stages"}},
		{"a micro-batch that overflows", "vanilla", func(o *Options) { o.Batch.Batch = 1 << 62 },
			[]string{"4611686018427387904", "16777216"}},
		{"no stages", "step", func(o *Options) { o.Stages = 0 }, []string{"0"}},
		{"rank 0", "step", func(o *Options) { o.LoRA.Rank = 0 }, []string{"rank 0"}},
		{"rank above the matrix", "step", func(o *Options) { o.LoRA.Rank = 9 }, []string{"rank 9", "wk", "8"}},
		{"no target", "step", func(o *Options) { o.LoRA.Targets = nil }, []string{"target", "wq"}},
		{"unknown target", "step", func(o *Options) { o.LoRA.Targets = []string{"q_proj"} },
			[]string{`"q_proj"`, "wq"}},
		{"target twice", "step", func(o *Options) { o.LoRA.Targets = []string{"wq", "wq"} },
			[]string{`"wq"`, "twice"}},
		{"alpha 0", "step", func(o *Options) { o.LoRA.Alpha = 0 }, []string{"alpha", "0"}},
		{"alpha not a number", "step", func(o *Options) { o.LoRA.Alpha = math.NaN() }, []string{"alpha", "NaN"}},
		{"three rates for two stages", "step", func(o *Options) { o.LR = []float64{1, 1, 1} },
			[]string{"3 learning rates", "2 stages"}},
		{"no rate", "step", func(o *Options) { o.LR = nil }, []string{"0 learning rates"}},
		{"three decays for two stages", "step", func(o *Options) { o.Decay = []float64{1, 1, 1} },
			[]string{"3 weight decays", "2 stages"}},
		{"rate 0", "vanilla", func(o *Options) { o.LR = []float64{0} }, []string{"stage 1", "learning rate 0"}},
		{"rate not a number", "vanilla", func(o *Options) { o.LR = []float64{math.NaN()} },
			[]string{"learning rate NaN"}},
		{"negative decay", "vanilla", func(o *Options) { o.Decay = []float64{-0.1} }, []string{"weight decay -0.1"}},
		{"adapter rate 0", "step", func(o *Options) { o.LoRALR = 0 }, []string{"adapter", "0"}},
		{"negative adapter decay", "step", func(o *Options) { o.LoRADecay = -1 }, []string{"adapter", "-1"}},
		{"split of another sum", "step", func(o *Options) { o.Split = []int{3, 4} },
			[]string{"[3 4]", "7 layers", "6 layers"}},
		{"split of other stages", "step", func(o *Options) { o.Split = []int{2, 2, 2} }, []string{"[2 2 2]", "3 stages",
			"2 stages"}},
		{"split with nothing", "step", func(o *Options) { o.Split = []int{0, 6} }, []string{"[0 6]", "at least one"}},
		{"less than one step per stage", "step", func(o *Options) { o.Stages, o.Steps = 3, 2 },
			[]string{"2 steps", "3 stages"}},
		{"growth at 0", "step", func(o *Options) { o.GrowAt = 0 }, []string{"fraction 0"}},
		{"unknown operator", "step", func(o *Options) { o.Operator = "average" },
			[]string{`"average"`, "mean", "copy"}},
		{"unknown position", "step", func(o *Options) { o.Position = "top" }, []string{`"top"`, "upper", "random"}},
		{"unknown schedule", "step", func(o *Options) { o.Schedule = "square" }, []string{`"square"`, "cosine"}},
		{"warm-up longer than the stage", "vanilla", func(o *Options) { o.Warmup = 13 }, []string{"13", "12"}},
		{"minimum ratio above 1", "vanilla", func(o *Options) { o.MinRatio = 2 }, []string{"ratio 2"}},
		{"sequence above the positions", "vanilla", func(o *Options) { o.Batch.SeqLen = 17 },
			[]string{"17", "16", "[lower seq_len]", "[raise max_seq_len]"}},
		{"no batch", "vanilla", func(o *Options) { o.Batch.Batch = 0 }, []string{"batch size 0"}},
		{"no accumulation", "vanilla", func(o *Options) { o.GradAccum = 0 }, []string{"accumulation 0"}},
		{"precision", "vanilla", func(o *Options) { o.Storage.Precision = "f16" }, []string{`"f16"`, "f32"}},
		{"beta 1", "vanilla", func(o *Options) { o.Optimizer.Settings = recipetest.AdamW(0.9, 1) },
			[]string{"betas", "1"}},
		{"epsilon 0", "vanilla", func(o *Options) { o.Optimizer.Settings = optim.AdamW{Beta1: 0.9, Beta2: 0.95} },
			[]string{"epsilon 0"}},
		{"negative norm", "vanilla", func(o *Options) { o.Optimizer.MaxNorm = -1 }, []string{"norm -1"}},
		{"heads do not divide", "step", func(o *Options) { o.Model.Heads = 3 }, []string{"16", "3"}},
		{"no heads", "step", func(o *Options) { o.Model.Heads = 0 }, []string{"num_attention_heads is 0"}},
		{"no layers", "vanilla", func(o *Options) { o.Model.Layers = 0 }, []string{"num_hidden_layers is 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := recipetest.Tiny()
			if c.change != nil {
				c.change(&o)
			}
			_, err := NewRecipe(c.method, o)
			recipetest.WantError(t, err, c.want...)
		})
	}
}

// One stage needs no adapters.
func TestOneStageNeedsNoLoRA(t *testing.T) {
	o := recipetest.Tiny()
	o.Stages, o.LoRA = 1, model.LoRALayout{}
	r := recipetest.Must(t, "step", o)
	if len(r.Stages) != 1 || r.Stages[0].Layers != 6 || r.Stages[0].Steps != 12 {
		t.Errorf("stages %+v", r.Stages)
	}
}

// verb is one of those with which stage 2 begins.
func verb(r *Recipe, i int) *Verb { return &r.Stages[1].Entry.Verbs[i] }

// A recipe that was edited by hand is not believed.
func TestRecipeValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Recipe)
		want   []string
	}{
		{"no stages", func(r *Recipe) { r.Stages = nil }, []string{"no stages"}},
		{"no steps", func(r *Recipe) { r.Stages[1].Steps = 0 }, []string{"stage 2 of 2", "0 steps"}},
		{"unknown verb", func(r *Recipe) { verb(r, 0).Do = "shrink" }, []string{"stage 2", `"shrink"`}},
		{"operands of another verb", func(r *Recipe) { verb(r, 2).Keep = 0.5 },
			[]string{"stage 2", "freeze has operands", "Keep:0.5"}},
		{"reset of nothing", func(r *Recipe) { verb(r, 4).Params = "norms" }, []string{"stage 2", `"norms"`, "all",
			"lora"}},
		{"reset that keeps all", func(r *Recipe) { verb(r, 4).Keep = 1 }, []string{"stage 2", "share of 1", "below 1"}},
		{"reset that keeps nonsense", func(r *Recipe) { verb(r, 4).Keep = math.NaN() }, []string{"share of NaN"}},
		{"warm-up of no steps", func(r *Recipe) { verb(r, 5).Steps = 0 }, []string{"stage 2", "warm-up of 0 steps"}},
		{"two warm-ups", func(r *Recipe) { *verb(r, 4) = *verb(r, 5) }, []string{"stage 2", "rewarm twice"}},
		{"two growths", func(r *Recipe) { *verb(r, 1) = *verb(r, 0) }, []string{"stage 2", "grow twice"}},
		{"a longer warm-up than the schedule", func(r *Recipe) { verb(r, 5).Steps = 99 },
			[]string{"warm-up of 99 steps in a schedule of 7"}},
		{"growth at the beginning", func(r *Recipe) { r.Stages[0].Entry.Verbs = []Verb{{Do: Merge}} },
			[]string{"stage 1", "cannot begin with merge"}},
		{"evaluation before the beginning", func(r *Recipe) { r.Stages[0].Entry.Evaluate = true },
			[]string{"stage 1", "before it begins"}},
		{"no schedule", func(r *Recipe) { r.Stages[0].Schedule = nil }, []string{"no learning-rate schedule"}},
		{"wrong depth", func(r *Recipe) { r.Stages[1].Layers = 5 }, []string{"stage 2", "6 layers", "5"}},
		{"another target", func(r *Recipe) { r.Model.Layers = 7 }, []string{"6 layers", "7"}},
		{"first stage with no layer", func(r *Recipe) { r.Stages[0].Layers = 0 }, []string{"0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := recipetest.Must(t, "step", recipetest.Tiny())
			c.change(&r)
			recipetest.WantError(t, r.Validate(), c.want...)
		})
	}
}
