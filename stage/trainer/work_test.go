package trainer

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/trainer/trainertest"
	"steplm/wgsl"
)

// What a recorded micro-batch spends in products and attention is what the layout
// counts, to the operation: in every stage, with adapters, int8 and recomputation.
func TestRecordedWorkIsCountedWork(t *testing.T) {
	for seed := range uint64(40) {
		o := randomRun(rand.New(rand.NewPCG(seed, 2)))
		r := recipetest.Must(t, "step", o)
		layouts, err := r.Layouts()
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range layouts {
			dry := gpu.NewDry(gpu.NewHost().Limits())
			if err := recordMicroBatch(dry, l, r.Batch); err != nil {
				t.Fatal(err)
			}
			got := 0.0
			for _, c := range dry.Calls() {
				if strings.HasPrefix(c.Kernel.Name, "matmul") || strings.HasPrefix(c.Kernel.Name, "attention") {
					got += c.Work
				}
			}
			if want := l.FLOPs(r.Batch).Total(); got != want {
				t.Errorf("seed %d, stage %d: %g operations recorded, %g counted: %+v", seed, i+1, got, want, o)
			}
		}
	}
}

// A run's classes are those that its steps call for, and their work is a step's times
// the steps.
func TestClassesAreWhatStepsUse(t *testing.T) {
	o := recipetest.Tiny()
	r := recipetest.Must(t, "step", o)
	d := gpu.NewHost()
	planned, err := Classes(r, d.Limits())
	if err != nil {
		t.Fatal(err)
	}
	runWhole(t, d, o, func(*Trainer) {})
	used := map[string]float64{}
	for class, use := range d.Choices().Used() {
		used[class] = use.Work
	}
	if diff := cmp.Diff(planned, used); diff != "" {
		t.Errorf("(-planned +used):\n%s", diff)
	}
}

// A run whose attention stays inside documents tunes the kernels that keep it there.
func TestClassesOfDocuments(t *testing.T) {
	for mask, want := range map[string]bool{model.MaskNone: false, model.MaskDocuments: true} {
		o := recipetest.Tiny()
		o.Batch.Documents.Mask = mask
		classes, err := Classes(recipetest.Must(t, "step", o), gpu.NewHost().Limits())
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for word := range classes {
			if strings.HasPrefix(word, "attention") {
				found++
				if got := strings.HasSuffix(word, " documents"); got != want {
					t.Errorf("mask %s: class %q", mask, word)
				}
			}
		}
		if found == 0 {
			t.Errorf("mask %s: no class of attention among %v", mask, classes)
		}
	}
}

// force chooses variants as a cache would: of every class the first, or the last.
func force(t *testing.T, d gpu.Device, r recipe.Recipe, last bool) {
	t.Helper()
	classes, err := Classes(r, d.Limits())
	if err != nil {
		t.Fatal(err)
	}
	for word := range classes {
		c, err := wgsl.ParseClass(word)
		if err != nil {
			t.Fatal(err)
		}
		list := c.Variants(d.Limits())
		choice := list[0]
		if last {
			choice = list[len(list)-1]
		}
		d.Choices().Set(word, choice)
	}
}

// Two different caches, the same losses, across a growth.
func TestVariantsTrainAlike(t *testing.T) {
	d := gputest.Adapter(t)
	o := recipetest.Tiny()
	o.Storage = model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
		Frozen: model.BF16}
	r := recipetest.Must(t, "step", o)
	var runs [2]whole
	var used [2]map[string]gpu.Use
	for i := range runs {
		force(t, d, r, i == 1)
		runs[i] = runWhole(t, d, o, func(*Trainer) {})
		used[i] = d.Choices().Used()
	}
	sameRun(t, "other variants", runs[0], runs[1], true)
	differ := 0
	for class, u := range used[0] {
		if used[1][class].Variant != u.Variant {
			differ++
		}
	}
	if differ < 10 {
		t.Errorf("the variants of %d classes differ: too few to show anything", differ)
	}
}

// A checkpoint keeps the variants that ran, and a resume on the same device takes
// them; another device's are not taken.
func TestCheckpointKeepsVariants(t *testing.T) {
	o := recipetest.Tiny()
	r := recipetest.Must(t, "step", o)
	d := gpu.NewHost()
	force(t, d, r, true)
	tr := newTrainer(t, d, r, trainertest.Random(5, o.Batch, o.Model.Vocab, 3))
	takeSteps(t, tr, 1)
	dir := t.TempDir()
	if err := tr.Save(filepath.Dir(record.CheckpointAt(dir, "step-1")), "step-1", kept(tr)); err != nil {
		t.Fatal(err)
	}
	again := gpu.NewHost()
	force(t, again, r, false) // what this machine's cache says now
	loaded, err := load(again, r, trainertest.Random(5, o.Batch, o.Model.Vocab, 3),
		record.CheckpointAt(dir, "step-1"))
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Free()
	restored, dry := gpu.NewHost(), gpu.NewDry(d.Limits())
	s, err := ReadState(record.CheckpointAt(dir, "step-1"), r, r.Hash())
	if err != nil {
		t.Fatal(err)
	}
	s.Choose(restored)
	s.Choose(dry)
	for class, use := range d.Choices().Used() {
		if got := again.Choices().Chosen(class); got != use.Variant {
			t.Errorf("%s: resumed with %q, saved with %q", class, got, use.Variant)
		}
		if got := restored.Choices().Chosen(class); got != use.Variant {
			t.Errorf("%s: restored %q, saved %q", class, got, use.Variant)
		}
		if got := dry.Choices().Chosen(class); got != "" {
			t.Errorf("%s: another device took %q", class, got)
		}
	}
}
