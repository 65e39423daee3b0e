package trainer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"steplm/data"
	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/model/hf"
	"steplm/model/modeltest"
	"steplm/model/optim"
	"steplm/stage/recipe"
	"steplm/stage/trainer/trainertest"
)

// The independent fixture, see testdata/growth/README.md, which also gives the
// tolerances.
const (
	fixture           = "testdata/growth"
	lossTolerance     = 1e-5 // relative
	normTolerance     = 1e-4 // relative
	gradientTolerance = 1e-4 // of the tensor's largest element
	weightTolerance   = 1e-4 // absolute
)

// fixtureRun is vanilla.json, tied.json or growth.json.
type fixtureRun struct {
	Optimizer struct {
		LR      float64 `json:"peak_lr"`
		Beta1   float64 `json:"beta1"`
		Beta2   float64 `json:"beta2"`
		Eps     float64 `json:"eps"`
		Decay   float64 `json:"weight_decay"`
		MaxNorm float64 `json:"max_norm"`
	} `json:"optimizer"`
	Schedule struct {
		Warmup   int     `json:"warmup"`
		Steps    int     `json:"steps"`
		MinRatio float64 `json:"min_ratio"`
	} `json:"schedule"`
	Losses    []float64 `json:"losses"`
	GradNorms []float64 `json:"grad_norms"`
	LRs       []float64 `json:"lrs"`

	// After growth.
	Origins []struct {
		Below  int     `json:"below"`
		Above  int     `json:"above"`
		Weight float64 `json:"weight"`
		New    bool    `json:"new"`
	} `json:"origins"`
	LoRA struct {
		Rank  int     `json:"rank"`
		Alpha float64 `json:"alpha"`
	} `json:"lora"`
	Frozen     []string           `json:"frozen"`
	Trainable  []string           `json:"trainable"`
	HeldLosses map[string]float64 `json:"held_losses"`
}

func readFixture(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(fixture, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// fixtureBatches are the twenty training batches and the held-out one.
func fixtureBatches(t *testing.T) (train *trainertest.Listed, held data.Batch, size model.Size) {
	t.Helper()
	type ids struct{ Inputs, Targets []uint32 }
	var f struct {
		Batch   int `json:"batch_size"`
		SeqLen  int `json:"seq_len"`
		Vanilla []ids
		Growth  []ids
		Held    ids
	}
	readFixture(t, "batches.json", &f)
	train = &trainertest.Listed{}
	for _, b := range append(f.Vanilla, f.Growth...) {
		train.Batches = append(train.Batches, data.NewBatch(b.Inputs, b.Targets))
	}
	return train, data.NewBatch(f.Held.Inputs, f.Held.Targets), model.Size{Batch: f.Batch, SeqLen: f.SeqLen}
}

// stageOf is a fixture's optimizer and schedule as a stage.
func (f fixtureRun) stageOf(layers int, entry ...recipe.Verb) recipe.Stage {
	o := f.Optimizer
	return recipe.Stage{
		Entry: recipe.Transition{Verbs: append(entry,
			recipe.RewarmOver(f.Schedule.Warmup)...)}, Layers: layers, Steps: len(
			f.Losses), LR: o.LR, Decay: o.Decay, LoRALR: o.LR, LoRADecay: o.Decay,
		Schedule: &optim.Course{Kind: optim.Cosine, Steps: f.Schedule.Steps, MinRatio: f.Schedule.MinRatio},
	}
}

// fixtureTrainer begins with a starting model's weights.
func fixtureTrainer(t *testing.T, d gpu.Device, r recipe.Recipe, b Batches, initial string) *Trainer {
	t.Helper()
	tr := newTrainer(t, d, r, b)
	weights := modeltest.ReadTensors(t, filepath.Join(fixture, initial, "model.safetensors"))
	for _, p := range tr.Model.Params() {
		if err := gpu.WriteF32(d, p.Weight, weights[fileName(tr.Model, p)]); err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

func (f fixtureRun) recipe(c model.Config, s model.Size, stages ...recipe.Stage) recipe.Recipe {
	o := f.Optimizer
	return recipe.Recipe{
		Format: recipe.Format, Method: "step", Model: c, Storage: model.FullStorage, Seed: 1, Batch: s, GradAccum: 1,
		Optimizer: optim.Config{Settings: optim.AdamW{Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps},
			MaxNorm: o.MaxNorm},
		TrainEmbedding: true, TrainHead: true, TrainNorms: true, Stages: stages,
	}
}

// follow takes the fixture's steps and compares what each reports.
func (f fixtureRun) follow(t *testing.T, tr *Trainer, after func(step int)) (last float64) {
	t.Helper()
	for i := range f.Losses {
		m := takeSteps(t, tr, 1)[0]
		relative(t, fmt.Sprintf("loss of step %d", i), m.Loss, f.Losses[i], lossTolerance)
		relative(t, fmt.Sprintf("gradient norm of step %d", i), m.GradNorm, f.GradNorms[i], normTolerance)
		relative(t, fmt.Sprintf("learning rate of step %d", i), m.LR, f.LRs[i], 1e-12)
		last = m.Loss
		if after != nil {
			after(i)
		}
	}
	return last
}

// compareGradients compares every trainable parameter's gradient, by name.
func compareGradients(t *testing.T, tr *Trainer, file string) {
	t.Helper()
	want := modeltest.ReadTensors(t, filepath.Join(fixture, file))
	seen := 0
	for _, p := range tr.Model.Params() {
		if !p.Trainable() {
			continue
		}
		w, ok := want[fileName(tr.Model, p)]
		if !ok {
			t.Errorf("%s has no %s", file, fileName(tr.Model, p))
			continue
		}
		seen++
		if gap, most := largestGap(read(t, tr.dev, p.Grad), w), largest(w); !(gap <= gradientTolerance*most) {
			t.Errorf("%s: gradient of %s is off by %.2g, its largest element is %.2g", file, p.Name, gap, most)
		}
	}
	if seen != len(want) {
		t.Errorf("%s has %d gradients, %d parameters train", file, len(want), seen)
	}
}

func compareWeights(t *testing.T, tr *Trainer, file string) {
	t.Helper()
	want := modeltest.ReadTensors(t, filepath.Join(fixture, file))
	params := tr.Model.Params()
	if len(params) != len(want) {
		t.Errorf("%s has %d tensors, the model %d", file, len(want), len(params))
	}
	for _, p := range params {
		w, ok := want[fileName(tr.Model, p)]
		if !ok {
			t.Errorf("%s has no %s", file, fileName(tr.Model, p))
			continue
		}
		if gap := largestGap(read(t, tr.dev, p.Weight), w); !(gap <= weightTolerance) {
			t.Errorf("%s: %s is off by %.2g", file, p.Name, gap)
		}
	}
}

func TestIndependentFixture(t *testing.T) {
	var vanilla, growth fixtureRun
	readFixture(t, "vanilla.json", &vanilla)
	readFixture(t, "growth.json", &growth)
	c, err := hf.ReadConfig(filepath.Join(fixture, "initial", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	depth := c.Layers
	c.Layers = len(growth.Origins)
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		batches, held, size := fixtureBatches(t)
		r := vanilla.recipe(c, size, vanilla.stageOf(depth), growth.stageOf(c.Layers,
			recipe.Verb{Do: recipe.Grow, Layers: c.Layers, Operator: "mean",
				Position: "upper"}, recipe.Verb{Do: recipe.Merge}, recipe.Verb{Do: recipe.Freeze},
			recipe.Verb{Do: recipe.Wrap}, recipe.Verb{Do: recipe.Reset, Params: recipe.AllParams},
		))
		r.LoRA = model.LoRALayout{Rank: growth.LoRA.Rank, Alpha: growth.LoRA.Alpha, Targets: model.LinearNames()}
		tr := fixtureTrainer(t, d, r, batches, "initial")

		vanilla.follow(t, tr, func(step int) {
			if step == 0 {
				compareGradients(t, tr, "vanilla_gradients.safetensors")
			}
		})
		compareWeights(t, tr, "before_growth.safetensors")
		before := heldLoss(t, tr, held)
		relative(t, "held-out loss before growth", before, growth.HeldLosses["before_growth"], lossTolerance)
		old := snapshot(t, tr)
		oldBlocks := tr.Model.Blocks

		if !tr.Due() {
			t.Error("growth is not due after the stage's last step")
		}
		event := advance(t, tr)
		if want := []int{1, 3, 4}; !slices.Equal(event.New, want) {
			t.Errorf("new blocks at %v, want %v", event.New, want)
		}
		compareGrown(t, tr, growth, old, oldBlocks)
		useLoRA(t, tr)
		relative(t, "held-out loss after growth", heldLoss(t, tr, held), growth.HeldLosses["after_growth"],
			lossTolerance)
		var frozen, trainable []string
		for _, p := range tr.Model.Params() {
			if p.Trainable() {
				trainable = append(trainable, fileName(tr.Model, p))
			} else {
				frozen = append(frozen, fileName(tr.Model, p))
			}
		}
		if slices.Sort(frozen); !slices.Equal(frozen, growth.Frozen) {
			t.Errorf("frozen: %v\nwant: %v", frozen, growth.Frozen)
		}
		if slices.Sort(trainable); !slices.Equal(trainable, growth.Trainable) {
			t.Errorf("trainable: %v\nwant: %v", trainable, growth.Trainable)
		}

		start := snapshot(t, tr)
		growth.follow(t, tr, func(step int) {
			if step < 2 {
				compareGradients(t, tr, fmt.Sprintf("growth_gradients_%d.safetensors", step+1))
			}
		})
		compareWeights(t, tr, "final.safetensors")
		final := heldLoss(t, tr, held)
		relative(t, "last held-out loss", final, growth.HeldLosses["final"], lossTolerance)
		if final >= before {
			t.Errorf("held-out loss is %g after the last step, %g before growth", final, before)
		}
		for _, p := range tr.Model.Params() {
			same := sameBits(read(t, d, p.Weight), start[p.Name])
			if p.Trainable() && same {
				t.Errorf("%s trains, but ten steps did not change it", p.Name)
			}
			if !p.Trainable() && !(same && sameBits(start[p.Name], old[p.Name])) {
				t.Errorf("%s is frozen, but changed", p.Name)
			}
		}
	})
}

// compareGrown checks every block of the grown model against the fixture's
// origins: old ones to the bit, new ones as mixtures.
func compareGrown(t *testing.T, tr *Trainer, growth fixtureRun, old map[string][]float32, oldBlocks []*model.Block) {
	t.Helper()
	tensors := append(model.LinearNames(), "attn_norm", "ffn_norm")
	for i, o := range growth.Origins {
		for _, tensor := range tensors {
			name := func(id int) string { return model.BlockLayout{ID: id}.Name(tensor) }
			below, above := old[name(oldBlocks[o.Below].ID)], old[name(oldBlocks[o.Above].ID)]
			got := read(t, tr.dev, tr.Model.Param(name(tr.Model.Blocks[i].ID)).Weight)
			if !o.New {
				if !sameBits(got, below) {
					t.Errorf("block %d: growth changed %s of an old block", i, tensor)
				}
				continue
			}
			want := make([]float32, len(below))
			for j := range want {
				want[j] = float32((1-o.Weight)*float64(below[j]) + o.Weight*float64(above[j]))
			}
			if gap := largestGap(got, want); !(gap <= 1e-6) {
				t.Errorf("block %d: %s is off by %.2g from %g of block %d and %g of block %d", i, tensor, gap,
					1-o.Weight, o.Below, o.Weight, o.Above)
			}
		}
	}
}

// useLoRA overwrites the fresh A with the fixture's; B must be zero.
func useLoRA(t *testing.T, tr *Trainer) {
	t.Helper()
	want := modeltest.ReadTensors(t, filepath.Join(fixture, "lora_a.safetensors"))
	written := 0
	for _, p := range tr.Model.Params() {
		if !p.Role.LoRA() {
			continue
		}
		a, ok := want[fileName(tr.Model, p)]
		if !ok {
			if largest(read(t, tr.dev, p.Weight)) != 0 {
				t.Errorf("%s is not zero right after growth", p.Name)
			}
			continue
		}
		if largest(read(t, tr.dev, p.Weight)) == 0 {
			t.Errorf("%s is zero right after growth: nothing would ever train", p.Name)
		}
		if err := gpu.WriteF32(tr.dev, p.Weight, a); err != nil {
			t.Fatal(err)
		}
		written++
	}
	if written != len(want) {
		t.Errorf("%d adapters, the fixture has %d", written, len(want))
	}
}

// The head is the embedding: its gradient is the sum of both uses.
func TestIndependentFixtureTied(t *testing.T) {
	var tied fixtureRun
	readFixture(t, "tied.json", &tied)
	c, err := hf.ReadConfig(filepath.Join(fixture, "tied", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
		batches, _, size := fixtureBatches(t)
		tr := fixtureTrainer(t, d, tied.recipe(c, size, tied.stageOf(c.Layers)), batches, "tied")
		tied.follow(t, tr, func(step int) {
			if step == 0 {
				compareGradients(t, tr, "tied_gradients.safetensors")
			}
		})
	})
}
