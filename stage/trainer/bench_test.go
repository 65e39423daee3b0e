package trainer

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/gpu"
	"steplm/model"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/synthetic"
	"steplm/stage/trainer/trainertest"
)

// A trainer of a later stage steps there, holds what that stage is planned with, and
// its calls are what the layout counts.
func TestTrainerAtLaterStage(t *testing.T) {
	o := recipetest.Tiny()
	r := recipetest.Must(t, "step", o)
	layouts, err := r.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range layouts {
		d := gpu.NewHost()
		tr, err := NewAt(d, r, synthetic.New(r.Batch, r.Model.Vocab, 3), i)
		if err != nil {
			t.Fatal(err)
		}
		if m := takeSteps(t, tr, 2)[1]; m.Stage != i+1 || !(m.FLOPsPerSecond > 0) {
			t.Errorf("stage %d: %+v", i+1, m)
		}
		if diff := d.Ledger().Difference(gpu.Plan(d.Own(), r.Specs(l))); diff != "" {
			t.Errorf("stage %d: %s", i+1, diff)
		}
		tr.Free()
		calls, err := Calls(d, r, i)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for _, c := range calls {
			if strings.HasPrefix(c.Kernel.Name, "matmul") || strings.HasPrefix(c.Kernel.Name, "attention") {
				sum += c.Work
			}
		}
		if want := l.FLOPs(r.Batch).Total(); sum != want {
			t.Errorf("stage %d: %g operations recorded, %g counted", i+1, sum, want)
		}
	}
}

// Calls are recorded with the device's choices.
func TestCallsHeedChoices(t *testing.T) {
	r, d := recipetest.Must(t, "vanilla", func() recipe.Options {
		o :=
			recipetest.Tiny()
		o.Stages = 1
		return o
	}()), gpu.NewHost()
	names := func() (list []string) {
		calls, err := Calls(d, r, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range calls {
			list = append(list, c.Kernel.Name)
		}
		return list
	}
	before := names()
	force(t, d, r, true)
	if diff := cmp.Diff(before, names()); diff == "" {
		t.Error("other choices, the same kernels")
	}
}

// A run's operations are those that its recipe counts, step by step, whatever is recomputed; inside documents each step
// says its own, which are the recipe's where every window is of one document, and fewer else.
func TestStepsCountFLOPs(t *testing.T) {
	o := recipetest.Tiny()
	o.GradAccum, o.Steps, o.Recompute = 3, 4, "block"
	o.Batch.Mask = model.MaskDocuments
	r := recipetest.Must(t, "vanilla", o)
	total, err := r.FLOPs()
	if err != nil {
		t.Fatal(err)
	}
	list := trainertest.Random(3, o.Batch, o.Model.Vocab, 3)
	tr := newTrainer(t, gpu.NewHost(), r, list)
	for _, m := range takeSteps(t, tr, 2) {
		if math.Abs(4*m.FLOPs-total) > 1e-12*total {
			t.Errorf("step %d: %g operations, four of them %g, the run's are %g", m.Step, m.FLOPs, 4*m.FLOPs, total)
		}
	}
	for i := range list.Batches { // two documents in each window of 8: 2 x 10 pairs of 36
		b := make([]uint32, o.Batch.Rows())
		for row := range b {
			b[row] = uint32(row % 8 / 4 * 4)
		}
		list.Batches[i].Begins = b
	}
	tr = newTrainer(t, gpu.NewHost(), r, list)
	layouts, err := r.Layouts()
	if err != nil {
		t.Fatal(err)
	}
	want := total/4 - 3*layouts[0].FLOPs(model.Size{Batch: 2, SeqLen: 8}).Attention*16/36
	for _, m := range takeSteps(t, tr, 2) {
		if math.Abs(m.FLOPs-want) > 1e-12*want {
			t.Errorf("step %d: %g operations inside documents, want %g", m.Step, m.FLOPs, want)
		}
	}
	o.Batch.Mask = ""
	tr = newTrainer(t, gpu.NewHost(), recipetest.Must(t, "vanilla", o), list)
	if m := takeSteps(t, tr, 1)[0]; m.FLOPs != 0 {
		t.Errorf("%g operations that do not depend on the data", m.FLOPs)
	}
}
