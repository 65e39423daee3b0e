package trainer

import (
	"errors"
	"path/filepath"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/stage/outer"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/trainer/trainertest"
)

var errNoMemory = errors.New("the device gives no more memory")

// sparing is a device that gives no memory once it has given so many tensors.
type sparing struct {
	gpu.Device
	left int // below 0: it always gives
}

func (d *sparing) New(s gpu.Spec) (gpu.Tensor, error) {
	if d.left == 0 {
		return gpu.Tensor{}, errNoMemory
	}
	d.left--
	return d.Device.New(s)
}

// Wherever memory ends, in a beginning, a load or a transition, the error says so and nothing stays on the device.
func TestMemoryEndsAnywhere(t *testing.T) {
	storage := model.Storage{Precision: model.BF16, States: model.SplitStates, Gradients: model.BF16,
		Frozen: model.Int8}
	rounds := recipetest.Tiny()
	rounds.Model.Layers, rounds.Split = 2, []int{1, 1}
	rounds.Storage = storage
	released := rounds
	released.Storage.Release = true
	rounds.Outer = &outer.Config{Every: 2, LR: 0.7, Momentum: 0.9}
	for name, o := range map[string]recipe.Options{"rounds": rounds, "released": released} {
		r := recipetest.Must(t, "step", o)
		batches := func() Batches { return trainertest.Random(8, o.Batch, o.Model.Vocab, 3) }
		dir := t.TempDir()
		saved := newTrainer(t, gpu.NewHost(), r, batches())
		takeSteps(t, saved, 1)
		if err := saved.Save(dir, "step-1", kept(saved)); err != nil {
			t.Fatal(err)
		}
		for what, do := range map[string]func(d *sparing, n int) (*Trainer, error){
			"a beginning": func(d *sparing, n int) (*Trainer, error) {
				d.left = n
				return New(d, r, batches())
			},
			"a load": func(d *sparing, n int) (*Trainer, error) {
				d.left = n
				return load(d, r, batches(), filepath.Join(dir, "step-1"))
			},
			"a growth": func(d *sparing, n int) (*Trainer, error) {
				tr := newTrainer(t, d, r, batches())
				tr.step = r.Stages[0].Steps
				d.left = n
				_, err := tr.Advance()
				return tr, err
			},
		} {
			var err error
			for n := 0; n == 0 || err != nil; n++ {
				d := &sparing{gpu.NewHost(), -1}
				var tr *Trainer
				if tr, err = do(d, n); err != nil && !errors.Is(err, errNoMemory) {
					t.Fatalf("%s, %s, after %d tensors: %v", name, what, n, err)
				}
				if tr != nil {
					tr.Free()
				}
				if left := d.Ledger().Total(); left != 0 {
					t.Fatalf("%s, %s, after %d tensors: %d bytes are left on the device", name, what, n, left)
				}
			}
		}
	}
}
