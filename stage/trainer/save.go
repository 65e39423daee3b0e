package trainer

import (
	"fmt"
	"path/filepath"
	"slices"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// Files of a checkpoint besides the model's and the state: what the optimizer keeps, and the outer one if there is one.
const (
	optimizerFile = "optimizer.safetensors"
	outerFile     = "outer.safetensors"
)

// Save writes a checkpoint under parent/name, whole or not at all.
func (t *Trainer) Save(parent, name string, k Kept) error {
	if t.outer != nil {
		if err := t.outer.Anchor(); err != nil { // A resume would take other weights for it.
			return err
		}
	}
	d, err := checkpoint.Begin(parent, name)
	if err != nil {
		return err
	}
	if err := t.write(d, k); err != nil {
		d.Abort()
		return err
	}
	if err := d.Commit(); err != nil {
		return err
	}
	return checkpoint.SetLatest(parent, name)
}

func (t *Trainer) write(d *checkpoint.Dir, k Kept) error {
	if err := d.WriteJSON(record.StateFile, t.state(k)); err != nil {
		return err
	}
	if err := t.Model.Save(d); err != nil {
		return err
	}
	planes, _ := t.opt.State()
	if err := model.SaveTensors(t.dev, d, optimizerFile, planes); err != nil || t.outer == nil {
		return err
	}
	return model.SaveTensors(t.outer.Home(), d, outerFile, t.outer.Tensors())
}

// Load goes on from a checkpoint in a folder, and gives what its run kept there. The recipe, which checkpoints know by
// a hash, must be the one that it was saved under.
func Load(dev gpu.Device, r recipe.Recipe, hash string, b Batches, dir string) (*Trainer, Kept, error) {
	if err := checkpoint.Verify(dir); err != nil {
		return nil, Kept{}, err
	}
	s, err := ReadState(dir, r, hash)
	if err != nil {
		return nil, Kept{}, err
	}
	s.Choose(dev)
	t, err := allocate(dev, r, b, s.Stage)
	if err != nil {
		return nil, Kept{}, err
	}
	if err := t.read(dir, s); err != nil {
		t.Free()
		return nil, Kept{}, err
	}
	return t, s.Kept, nil
}

// read fills a stage that was allocated for a checkpoint.
func (t *Trainer) read(dir string, s State) error {
	if !slices.Equal(t.order(), s.Order) {
		return fmt.Errorf("checkpoint %s has blocks %v, the recipe's stage %d has %v", dir, s.Order, s.Stage+1,
			t.order())
	}
	if err := t.Model.Restore(dir); err != nil {
		return err
	}
	planes, _ := t.opt.State()
	if err := model.LoadTensors(t.dev, filepath.Join(dir, optimizerFile), planes, 0); err != nil {
		return err
	}
	if err := t.opt.Restore(s.Optimizer); err != nil {
		return fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	if t.outer != nil {
		err := model.LoadTensors(t.outer.Home(), filepath.Join(dir, outerFile), t.outer.Tensors(), 0)
		if err != nil {
			return err
		}
		t.outer.Restored(s.Rounds)
	}
	t.step, t.padding = s.Step, s.Padding
	return t.batches.Seek(s.Cursor)
}
