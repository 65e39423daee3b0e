package trainer

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/gpu/gputest"
	"steplm/model"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/trainer/trainertest"
)

// openedLogits are those of a checkpoint's model, opened for inference with the layout that is known
// of it.
func openedLogits(t *testing.T, tr *Trainer, m *model.Model) []float32 {
	t.Helper()
	b := trainertest.Random(1, tr.Recipe.Batch, tr.Recipe.Model.Vocab, 9).Batches[0]
	a, err := model.NewActivations(tr.dev, m.Layout, tr.Recipe.Batch)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Free()
	if err := loadBatch(a, b); err != nil {
		t.Fatal(err)
	}
	f, err := m.Logits(a)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A checkpoint's model, opened without recipe, optimizer and batches, computes what the trainer does
// at that step: before and after growth, under LoRA that is not merged, whatever the storage.
func TestOpenedCheckpointComputesAsTheTrainer(t *testing.T) {
	bf16 := func(states, frozen string) model.Storage {
		return model.Storage{Precision: model.BF16, States: states, Gradients: model.BF16, Frozen: frozen}
	}
	released := bf16(model.SplitStates, model.BF16)
	released.Release = true
	for name, storage := range map[string]model.Storage{
		"full": model.FullStorage, "released": released,
		"split":       bf16(model.SplitStates, model.BF16),
		"paper":       bf16(model.PaperStates, model.BF16),
		"flash8":      bf16(model.Flash8States, model.BF16),
		"int8 frozen": bf16(model.SplitStates, model.Int8),
	} {
		t.Run(name, func(t *testing.T) {
			gputest.EachDevice(t, func(t *testing.T, d gpu.Device) {
				o := recipetest.Tiny()
				o.Storage = storage
				tr := newTrainer(t, d, recipetest.Must(t, "step", o), trainertest.Random(3, o.Batch, o.Model.Vocab, 3))
				grown := tr.Recipe.Stages[0].Steps
				for _, step := range []int{1, grown, grown + 2} {
					takeTo(t, tr, step)
					parent := t.TempDir()
					if err := tr.Save(parent, "here", kept(tr)); err != nil {
						t.Fatal(err)
					}
					dir := filepath.Join(parent, "here")
					// Who opens a model needs no state of training.
					for _, file := range []string{optimizerFile, record.StateFile} {
						if err := os.Remove(filepath.Join(dir, file)); err != nil {
							t.Fatal(err)
						}
					}
					before := d.Ledger().Total()
					m, err := model.Open(d, dir)
					if err != nil {
						t.Fatal(err)
					}
					got, want := openedLogits(t, tr, m), logits(t, tr, trainertest.Random(1, o.Batch, o.Model.Vocab,
						9).Batches[0])
					if !sameBits(got, want) {
						t.Errorf("step %d: logits differ by up to %g", step, largestGap(got, want))
					}
					wrapped := slices.ContainsFunc(m.Params(), func(p *model.Param) bool { return p.Role.LoRA() })
					if trains, _ := m.Count(); trains != 0 || wrapped != (step > grown) {
						t.Errorf("step %d: %d parameters train, LoRA is there: %v", step, trains, wrapped)
					}
					m.Free()
					if after := d.Ledger().Total(); after != before {
						t.Errorf("step %d: %d bytes are left", step, after-before)
					}
				}
			})
		})
	}
}
