package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"steplm/gpu"
	"steplm/model"
	"steplm/model/checkpoint"
	"steplm/stage/record"
	"steplm/stage/trainer"
)

// SavedLayout is what the model in a checkpoint folder consists of. An early checkpoint, which does
// not say so itself, must lie in its run's folder.
func SavedLayout(dir string) (model.Layout, error) {
	l, err := model.ReadLayout(dir)
	if !errors.Is(err, fs.ErrNotExist) || checkpoint.Lists(dir, model.LayoutFile) {
		return l, err
	}
	run, err := record.RunOf(dir)
	if err != nil {
		return l, err
	}
	r, hash, err := readRecipe(run)
	if err != nil {
		return l, fmt.Errorf("%s has no %s, as early ones do not: %w", dir, model.LayoutFile, err)
	}
	if err := checkpoint.Verify(dir, record.StateFile); err != nil {
		return l, err
	}
	s, err := trainer.ReadState(dir, r, hash)
	if err != nil {
		return l, err
	}
	layouts, err := r.Layouts()
	if err != nil {
		return l, err
	}
	return layouts[s.Stage], nil
}

// Point is a checkpoint of a run that has rounds.
type Point struct {
	Name   string `json:"name"`
	Rounds int    `json:"rounds"` // the step up to which they are done
}

// Points lists those of the run in a folder, up to the one that it goes on from, oldest first.
func Points(dir string) (list []Point, err error) {
	r, hash, err := readRecipe(dir)
	if err != nil {
		return nil, err
	}
	last, _, err := record.LastCheckpoint(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, name := range record.CheckpointNames(dir) {
		at := record.CheckpointAt(dir, name)
		if checkpoint.Verify(at, record.StateFile) == nil {
			if s, err := trainer.ReadState(at, r, hash); err == nil {
				list = append(list, Point{name, s.Rounds})
			}
		}
		if name == last {
			break
		}
	}
	return list, nil
}

// RestoreChoices makes a device's choices those of a run's last checkpoint. A run
// without one, or of another device, says nothing; one that cannot be read is for
// Resume to complain of.
func RestoreChoices(dev gpu.Device, runDir string) {
	name, _, err := record.LastCheckpoint(runDir)
	if err != nil {
		return
	}
	raw, err := os.ReadFile(filepath.Join(record.CheckpointAt(runDir, name), record.StateFile))
	var s trainer.State
	if err == nil && json.Unmarshal(raw, &s) == nil {
		s.Choose(dev)
	}
}
