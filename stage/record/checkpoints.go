package record

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
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
// Where LATEST is missing it is the newest that is whole, and the note says so.
func LastCheckpoint(run string) (name, note string, err error) {
	parent := filepath.Join(run, checkpointsDir)
	if name, err = checkpoint.Latest(parent); !errors.Is(err, fs.ErrNotExist) {
		return name, "", err
	}
	name, damaged, err := checkpoint.Newest(parent, slices.DeleteFunc(CheckpointNames(run), foreign))
	if err != nil {
		return "", "", err
	}
	note = fmt.Sprintf("%s has no LATEST: going on from %s, the newest checkpoint that is whole", parent, name)
	if len(damaged) > 0 {
		note += fmt.Sprintf(" (%d after it are not: %v)", len(damaged), damaged[0])
	}
	return name, note, nil
}

// foreign tells names that are not those of a run's checkpoints.
func foreign(name string) bool {
	digits, ok := strings.CutPrefix(name, "step-")
	return !ok || digits == "" || strings.Trim(digits, "0123456789") != ""
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
