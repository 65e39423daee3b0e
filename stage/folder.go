package stage

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"

	"steplm/disk"
	"steplm/model/advice"
	"steplm/model/checkpoint"
	"steplm/stage/recipe"
	"steplm/stage/record"
)

// Files of a run folder.
const (
	recipeFile     = "recipe.json"
	checkpointsDir = "checkpoints"
	FinalDir       = "final" // the trained model as Hugging Face lays it out
	lockFile       = ".lock"
	// SpecFile is what a run was begun with, as its user asked for it.
	SpecFile = "spec.json"
)

// Folder is a run on disk. One process at a time holds it.
type Folder struct {
	Dir     string
	hash    string // of the recipe as the folder has it
	lock    *flock.Flock
	metrics *record.Writer
}

// CreateFolder begins a run in dir, which must not exist or be empty. spec, unless nil, is kept beside the
// recipe.
func CreateFolder(dir string, r recipe.Recipe, spec any) (*Folder, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == recipeFile }) {
		return nil, advice.With(fmt.Errorf("%s already holds a run", dir),
			advice.Way{{How: advice.Use, Option: advice.Resume}}, advice.Way{{How: advice.Another, Option: advice.Out}})
	}
	for _, e := range entries {
		// a killed beginning
		if !slices.Contains([]string{lockFile, recipeFile + temporary, SpecFile, SpecFile + temporary}, e.Name()) {
			return nil, advice.With(fmt.Errorf("%s is not empty and holds no run (found %s)", dir, e.Name()),
				advice.Way{{How: advice.Another, Option: advice.Out}})
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	f.hash = r.Hash()
	if spec != nil { // Before the recipe, with which the folder is a run.
		err = writeFile(filepath.Join(dir, SpecFile), spec)
	}
	if err == nil {
		err = writeFile(filepath.Join(dir, recipeFile), r)
	}
	if err == nil {
		err = f.openMetrics(0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// OpenFolder takes up a run that was begun with the same recipe.
func OpenFolder(dir string, r recipe.Recipe) (*Folder, error) {
	saved, hash, err := readRecipe(dir)
	if err != nil {
		return nil, err
	}
	if d := r.Differences(saved); d != "" {
		return nil, fmt.Errorf("cannot resume %s with another recipe: %s", dir, d)
	}
	f, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	f.hash = hash
	if _, err := checkpoint.Clean(f.checkpoints()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// LengthenFolder takes up a run that is to have so many steps, and keeps that in its folder, with the spec
// that asks for it.
func LengthenFolder(dir string, steps int, spec any) (*Folder, recipe.Recipe, error) {
	f, err := lockFolder(dir)
	if err != nil {
		return nil, recipe.Recipe{}, err
	}
	saved, hash, err := readRecipe(dir)
	if err == nil {
		saved, err = saved.Extend(steps, hash)
	}
	if err == nil { // A kill between the two leaves a run that was not made longer.
		err = writeFile(filepath.Join(dir, SpecFile), spec)
	}
	if err == nil {
		err = writeFile(filepath.Join(dir, recipeFile), saved)
	}
	if err == nil {
		f.hash = saved.Hash()
		_, err = checkpoint.Clean(f.checkpoints())
	}
	if err != nil {
		f.Close()
		return nil, saved, err
	}
	return f, saved, nil
}

// ReadRecipe reads a run folder's recipe.
func ReadRecipe(dir string) (recipe.Recipe, error) {
	r, _, err := readRecipe(dir)
	return r, err
}

// readRecipe also hashes it as the program did that wrote it, whatever its format.
func readRecipe(dir string) (r recipe.Recipe, hash string, err error) {
	path := filepath.Join(dir, recipeFile)
	text, err := os.ReadFile(path)
	if disk.Missing(err) {
		return r, "", fmt.Errorf("%s holds no run: there is no %s", dir, recipeFile)
	}
	if err != nil {
		return r, "", err
	}
	if r, hash, err = recipe.Decode(text); err != nil {
		return r, "", fmt.Errorf("%s: %w", path, err)
	}
	return r, hash, nil
}

// HoldsRun reports whether a folder is a run's.
func HoldsRun(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, recipeFile))
	return err == nil
}

// HoldsCheckpoint reports whether a folder is a checkpoint of a run.
func HoldsCheckpoint(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, stateFile))
	return err == nil || checkpoint.Lists(dir, stateFile)
}

// CheckpointAt is the folder of a run's checkpoint.
func CheckpointAt(run, name string) string { return filepath.Join(run, checkpointsDir, name) }

// RunOf is the folder of the run that a checkpoint's folder lies in, if it lies in one.
func RunOf(dir string) (string, error) {
	path, err := filepath.Abs(dir)
	return filepath.Dir(filepath.Dir(path)), err
}

// CheckpointNames lists a run's checkpoints.
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

func lockFolder(dir string) (*Folder, error) {
	f := &Folder{Dir: dir, lock: flock.New(filepath.Join(dir, lockFile))}
	ok, err := f.lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("another process is running in %s", dir)
	}
	return f, nil
}

func (f *Folder) checkpoints() string { return filepath.Join(f.Dir, checkpointsDir) }

// openMetrics cuts the metrics to a length and appends from there.
func (f *Folder) openMetrics(size int64) (err error) {
	f.metrics, err = record.Append(f.Dir, size)
	return err
}

// Close releases the folder.
func (f *Folder) Close() error {
	if f.metrics != nil {
		f.metrics.Close()
	}
	return f.lock.Unlock()
}

// Discard removes a run that took no step and releases the folder. What is not
// a run's stays, and so does a checkpoint.
func (f *Folder) Discard() error {
	if f.metrics != nil {
		f.metrics.Close() // Windows keeps what is open
	}
	for _, name := range []string{record.File, recipeFile, SpecFile} {
		if err := os.Remove(filepath.Join(f.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := f.lock.Unlock(); err != nil {
		return err
	}
	os.Remove(f.lock.Path())
	os.Remove(f.checkpoints()) // these two only if they are empty
	os.Remove(f.Dir)
	return nil
}

// temporary ends the name of a file that is being written.
const temporary = ".tmp"

// writeFile writes JSON beside path and renames it.
func writeFile(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp := path + temporary
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
