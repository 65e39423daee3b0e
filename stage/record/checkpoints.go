package record

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"steplm/model/checkpoint"
)

const checkpointsDir = "checkpoints"

// StateFile is what a checkpoint of a run holds besides tensors.
const StateFile = "state.json"

// HoldsCheckpoint reports whether a folder is a checkpoint of a run.
func HoldsCheckpoint(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, StateFile))
	return err == nil || checkpoint.Lists(dir, StateFile)
}

// CheckpointAt is the folder of a run's checkpoint.
func CheckpointAt(run, name string) string { return filepath.Join(run, checkpointsDir, name) }

// LastCheckpoint is the name of the one from which a run goes on; fs.ErrNotExist where it has none.
func LastCheckpoint(run string) (string, error) {
	return checkpoint.Latest(filepath.Join(run, checkpointsDir))
}

// RunOf is the folder of the run that a checkpoint's folder lies in, if it lies in one.
func RunOf(dir string) (string, error) {
	path, err := filepath.Abs(dir)
	return filepath.Dir(filepath.Dir(path)), err
}

// CheckpointNames lists a run's checkpoints in the order of their steps.
func CheckpointNames(run string) (names []string) {
	entries, _ := os.ReadDir(filepath.Join(run, checkpointsDir)) // Without the folder there are none.
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return names
}
