package trainer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/hf"
	"steplm/model/modeltest"
	"steplm/model/optim"
	"steplm/stage/recipe"
)

// The other program's run, see testdata/relora/README.md.
type reloraFixture struct {
	Steps                          int
	Merges                         []int
	Warm                           int     `json:"warm_start"`
	Every                          int     `json:"merge_every"`
	First                          int     `json:"first_warmup"`
	Restart                        int     `json:"restart_warmup"`
	MinRatio                       float64 `json:"min_ratio"`
	Rank                           int
	Alpha, Keep, Beta1, Beta2, Eps float64
	Full                           float64 `json:"peak_full"`
	LoRA                           float64 `json:"peak_lora"`
	Decay                          float64 `json:"weight_decay"`
	MaxNorm                        float64 `json:"max_norm"`
	Losses                         []float64
	Norms                          []float64 `json:"grad_norms"`
	LRs                            []float64
}

const reloraFolder = "testdata/relora"

func readReLoRA(t *testing.T) (f reloraFixture) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(reloraFolder, "relora.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// recipe is the run as method relora makes it of options.
func (f reloraFixture) recipe(t *testing.T, size model.Size) recipe.Recipe {
	t.Helper()
	c, err := hf.ReadConfig(filepath.Join(fixture, "initial", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	warm := float64(f.Warm) / float64(f.Steps)
	r, err := recipe.NewRecipe("relora", recipe.Options{
		Model: c, Storage: model.FullStorage, Recompute: recipe.RecomputeNone, Seed: 1, Steps: f.Steps, Batch: size,
		GradAccum: 1,
		Optimizer: optim.Config{Settings: optim.AdamW{Beta1: f.Beta1, Beta2: f.Beta2, Eps: f.Eps}, MaxNorm: f.MaxNorm},
		LR:        []float64{f.Full, f.LoRA}, Decay: []float64{f.Decay}, LoRALR: 1, LoRADecay: 1,
		Warmup: f.First, Rewarm: f.Restart, MinRatio: f.MinRatio, Position: "upper",
		LoRA:           model.LoRALayout{Rank: f.Rank, Alpha: f.Alpha, Targets: model.LinearNames()},
		TrainEmbedding: true, TrainHead: true, TrainNorms: true,
		WarmStart: &warm, MergeEvery: &f.Every, MergeKeep: f.Keep,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// useLoRAOf overwrites every fresh A with the fixture's of a phase.
func useLoRAOf(t *testing.T, tr *Trainer, phase int) {
	t.Helper()
	drawn := modeltest.ReadTensors(t, filepath.Join(reloraFolder, "lora_a.safetensors"))
	for _, p := range tr.Model.Params() {
		if p.Role != model.RoleLoRAA {
			continue
		}
		a, ok := drawn[fmt.Sprintf("%d.%s", phase, fileName(tr.Model, p))]
		if !ok {
			t.Fatalf("no A of %s in phase %d", p.Name, phase)
		}
		if err := gpu.WriteF32(tr.dev, p.Weight, a); err != nil {
			t.Fatal(err)
		}
	}
}

// follow takes all steps and is the largest relative distances of losses and norms from the fixture's.
func (f reloraFixture) follow(t *testing.T, tr *Trainer) (loss, norm float64, merges []int) {
	t.Helper()
	phase := 0
	for step := range f.Steps {
		if tr.Due() {
			advance(t, tr)
			if phase > 0 {
				merges = append(merges, step)
			}
			useLoRAOf(t, tr, phase)
			phase++
		}
		m := takeSteps(t, tr, 1)[0]
		distance := func(a, b float64) float64 { return max((a-b)/b, (b-a)/b) }
		loss, norm = max(loss, distance(m.Loss, f.Losses[step])), max(norm, distance(m.GradNorm, f.Norms[step]))
		if d := m.LR - f.LRs[step]; d > 1e-12 || d < -1e-12 {
			t.Errorf("rate of step %d is %g, want %g", step, m.LR, f.LRs[step])
		}
	}
	return loss, norm, merges
}

// Fourteen losses and norms, and all weights in the end, over a warm start and two merges.
func TestReLoRAOfAnotherProgram(t *testing.T) {
	f := readReLoRA(t)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		batches, _, size := fixtureBatches(t)
		tr := fixtureTrainer(t, d, f.recipe(t, size), batches, "initial")
		loss, norm, merges := f.follow(t, tr)
		t.Logf("losses are off by up to %.2g, norms by %.2g", loss, norm)
		if !(loss <= lossTolerance && norm <= normTolerance) || !slices.Equal(merges, f.Merges) {
			t.Errorf("losses are off by %.2g, norms by %.2g; merges before steps %v, want %v", loss, norm, merges,
				f.Merges)
		}
		want := modeltest.ReadTensors(t, filepath.Join(reloraFolder, "final.safetensors"))
		if n := len(tr.Model.Params()); n != len(want) {
			t.Errorf("%d tensors, want %d", n, len(want))
		}
		for _, p := range tr.Model.Params() {
			if gap := largestGap(read(t, d, p.Weight), want[fileName(tr.Model, p)]); !(gap <= weightTolerance) {
				t.Errorf("%s is off by %.2g", p.Name, gap)
			}
		}
	})
}

// The fixture notices what could be wrong: each mistake moves losses or norms beyond what is allowed.
func TestReLoRAFixtureNotices(t *testing.T) {
	f := readReLoRA(t)
	for name, spoil := range map[string]func(*recipe.Recipe){
		"nothing is merged": func(r *recipe.Recipe) {
			edit(r, 2,
				func(v []recipe.Verb) []recipe.Verb { return v[2:] })
		},
		"all moments are reset": func(r *recipe.Recipe) {
			edit(r, 2, func(v []recipe.Verb) []recipe.Verb { v[2].Keep = 0; return v })
		},
		"no moment is reset": func(r *recipe.Recipe) {
			edit(r, 2, func(v []recipe.Verb) []recipe.Verb { return v[:2] })
		},
		"half of the moments stay": func(r *recipe.Recipe) {
			edit(r, 2, func(v []recipe.Verb) []recipe.Verb { v[2].Keep = 0.5; return v })
		},
		"moments are kept apart": func(r *recipe.Recipe) {
			edit(r, 2, func(v []recipe.Verb) []recipe.Verb { v[2].By = optim.EachMagnitude; return v })
		},
		"the state survives the warm start": func(r *recipe.Recipe) {
			edit(r, 1, func(v []recipe.Verb) []recipe.Verb { return v[:2] })
		},
		"a merge one step early":  func(r *recipe.Recipe) { r.Stages[1].Steps--; r.Stages[2].Steps++ },
		"another scale":           func(r *recipe.Recipe) { r.LoRA.RankStabilized = true },
		"embeddings do not train": func(r *recipe.Recipe) { r.TrainEmbedding = false },
	} {
		batches, _, size := fixtureBatches(t)
		r := f.recipe(t, size)
		spoil(&r)
		tr := fixtureTrainer(t, gpu.NewHost(), r, batches, "initial")
		loss, norm, _ := f.follow(t, tr)
		if loss <= lossTolerance && norm <= normTolerance {
			t.Errorf("%s: losses are off by %.2g and norms by %.2g, which the fixture takes for right", name, loss,
				norm)
		}
		t.Logf("%s: losses are off by %.2g, norms by %.2g", name, loss, norm)
		tr.Free()
	}
}

// edit changes the verbs with which a stage begins.
func edit(r *recipe.Recipe, stage int, change func([]recipe.Verb) []recipe.Verb) {
	r.Stages = slices.Clone(r.Stages)
	s := &r.Stages[stage].Entry
	s.Verbs = change(slices.Clone(s.Verbs))
}
