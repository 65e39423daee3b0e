package record

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"steplm/internal/disk"
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
	ours := slices.DeleteFunc(CheckpointNames(run), func(name string) bool { return stepOf(name) < 0 })
	name, damaged, err := checkpoint.Newest(parent, ours)
	if err != nil {
		return "", "", err
	}
	note = fmt.Sprintf("%s has no LATEST: going on from %s, the newest checkpoint that is whole", parent, name)
	if len(damaged) > 0 {
		note += fmt.Sprintf(" (%d after it are not: %v)", len(damaged), damaged[0])
	}
	return name, note, nil
}

// stepOf is the step that a checkpoint's name says; -1: it is not a run's.
func stepOf(name string) int {
	for _, prefix := range []string{"step-", "stable-"} {
		if digits, ok := strings.CutPrefix(name, prefix); ok {
			if n, err := strconv.ParseUint(digits, 10, 31); err == nil {
				return int(n)
			}
		}
	}
	return -1
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
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(stepOf(a), stepOf(b)), cmp.Compare(a, b))
	})
	return names
}

// StableCheckpoint is the name of the checkpoint after a step before the learning rate decays. It is never removed: a
// longer run goes on from it.
func StableCheckpoint(step int) string { return fmt.Sprintf("stable-%d", step) }

// Rewind makes the checkpoint before a decay, after so many steps, the one that the run goes on from. What the run
// wrote after it is set aside under names that end in its length: metrics and the final model; its checkpoints are
// removed. Done twice it does no more.
func (f *Folder) Rewind(stable, length int) error {
	name := StableCheckpoint(stable)
	if err := checkpoint.Verify(f.at(name)); err != nil {
		return fmt.Errorf("the run goes on from before its decay, from checkpoint %s: %w", name, err)
	}
	aside := filepath.Join(f.Dir, fmt.Sprintf("metrics-%d.jsonl", length))
	if _, err := os.Stat(aside); disk.Missing(err) {
		text, err := disk.ReadFile(filepath.Join(f.Dir, File))
		if err != nil {
			return err
		}
		if err := disk.WriteFile(aside, text); err != nil {
			return err
		}
	}
	if final := filepath.Join(f.Dir, FinalDir); exists(final) {
		if err := disk.Rename(final, fmt.Sprintf("%s-%d", final, length)); err != nil {
			return err
		}
	}
	if err := checkpoint.SetLatest(f.Checkpoints(), name); err != nil {
		return err
	}
	for _, other := range CheckpointNames(f.Dir) {
		var step int
		if n, err := fmt.Sscanf(other, "step-%d", &step); n == 1 && err == nil && step > stable {
			if err := disk.Remove(f.at(other)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *Folder) at(checkpoint string) string { return filepath.Join(f.Checkpoints(), checkpoint) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
