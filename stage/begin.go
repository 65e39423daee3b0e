package stage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"steplm/gpu"
	"steplm/stage/record"
	"steplm/stage/reduce"
	"steplm/stage/trainer"
)

// Start begins the run from its seed, or from the model that its recipe begins with, or where the others are that it
// joins.
func (r *Run) Start(ctx context.Context) error {
	defer r.free()
	t, err := r.join(ctx)
	switch {
	case err != nil:
	case t != nil:
		err = r.takeJoined(t)
	default:
		err = r.begin()
	}
	if err = r.Reducer.Together(err); err != nil {
		return err
	}
	r.began = r.trainer.Cursor()
	return r.train(ctx)
}

// begin takes the trainer before the first step.
func (r *Run) begin() error {
	if r.Recipe.Init == nil {
		t, err := trainer.New(r.Device, r.Recipe, r.batches())
		if err != nil {
			return err
		}
		return r.take(t)
	}
	weights, files, err := r.Weights()
	if err != nil {
		return err
	}
	defer files.Close()
	t, err := trainer.NewFrom(r.Device, r.Recipe, r.batches(), weights)
	if err != nil {
		return err
	}
	return r.take(t)
}

// Resume continues the run from its last checkpoint, or begins it when it has none. A run that is over evaluates and
// exports once more.
func (r *Run) Resume(ctx context.Context) error {
	defer r.free()
	name, err := r.lastCheckpoint()
	if err != nil {
		return err
	}
	if name == "" {
		if err := r.openMetrics(0); err != nil {
			return err
		}
		return r.Start(ctx)
	}
	kept, err := r.load(name)
	if err = r.Reducer.Together(err); err != nil {
		return fmt.Errorf("%w (to go on from an older one, write its name, such as step-100, into %s)", err,
			filepath.Join(r.Folder.Checkpoints(), "LATEST"))
	}
	r.best, r.guard = kept.Best, kept.Guard
	r.saves.known = r.history(name)
	if err := r.openMetrics(kept.Metrics); err != nil {
		return err
	}
	if err := r.event(record.Resume{At: r.trainer.At(), Checkpoint: name, Device: r.Device.Name()}); err != nil {
		return err
	}
	return r.train(ctx)
}

// lastCheckpoint is the one that all processes go on from; "": there is none.
func (r *Run) lastCheckpoint() (name string, err error) {
	name, note, err := record.LastCheckpoint(r.Folder.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		name, err = "", nil
	}
	if err == nil {
		err = r.Reducer.Agree([]reduce.Fact{{Name: "last checkpoint", Value: name}})
	}
	if err == nil && name != "" {
		r.warn("%s", note)
	}
	return name, err
}

// load takes the trainer of a checkpoint, and gives what the run kept there.
func (r *Run) load(name string) (trainer.Kept, error) {
	t, kept, err := trainer.Load(r.Device, r.Recipe, r.Folder.hash, r.batches(),
		record.CheckpointAt(r.Folder.Dir, name))
	if err != nil {
		return kept, err
	}
	return kept, r.take(t)
}

// openMetrics opens them, if this process writes any, cut to a length.
func (r *Run) openMetrics(size int64) error {
	if !r.Reducer.Leads() {
		return nil
	}
	note, err := r.Folder.OpenMetrics(size)
	if err == nil {
		r.warn("%s", note)
	}
	return err
}

// compile has the device compile what a step of the stage calls, so that nobody waits for a first step of which
// nothing is heard.
func (r *Run) compile(ctx context.Context) error {
	if r.Report.Compiling == nil {
		return nil
	}
	calls, err := trainer.Calls(r.Device, r.Recipe, r.trainer.Stage())
	if err != nil {
		return err
	}
	var kernels []*gpu.Kernel
	for _, c := range calls {
		if !slices.Contains(kernels, c.Kernel) {
			kernels = append(kernels, c.Kernel)
		}
	}
	for i, k := range kernels {
		if ctx.Err() != nil {
			return nil // The loop saves and stops.
		}
		r.Report.Compiling(i, len(kernels), k.Name)
		if err := gpu.Compile(r.Device, k); err != nil {
			return err
		}
	}
	r.Report.Compiling(len(kernels), len(kernels), "")
	return nil
}
