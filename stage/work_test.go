package stage

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/gpu"
	"steplm/model"
	"steplm/stage/recipe/recipetest"
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
