package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"steplm/disk"
	"steplm/model/advice"
	"steplm/model/checkpoint"
)

// Files of a run's folder, besides its metrics.
const (
	RecipeFile = "recipe.json" // with which a folder is a run's
	SpecFile   = "spec.json"   // what the run was begun with, as its user asked for it
	FinalDir   = "final"       // the trained model as Hugging Face lays it out
	lockFile   = ".lock"
)

// Folder is a run on disk. One process at a time holds it.
type Folder struct {
	Dir     string
	Metrics *Writer // nil until OpenMetrics
	// NoLock is why a second process would not be kept out: the file system has no locks. nil as a rule.
	NoLock error
	lock   *disk.Lock
}

// Create begins a run in dir, which must not exist or be empty. spec, unless nil, is kept beside the recipe.
func Create(dir string, recipe, spec any) (*Folder, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == RecipeFile }) {
		return nil, advice.With(fmt.Errorf("%s already holds a run", dir),
			advice.Way{{How: advice.Use, Option: advice.Resume}}, advice.Way{{How: advice.Another, Option: advice.Out}})
	}
	for _, e := range entries {
		// a killed beginning
		if !slices.Contains([]string{lockFile, RecipeFile + temporary, SpecFile, SpecFile + temporary}, e.Name()) {
			return nil, advice.With(fmt.Errorf("%s is not empty and holds no run (found %s)", dir, e.Name()),
				advice.Way{{How: advice.Another, Option: advice.Out}})
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := Lock(dir)
	if err != nil {
		return nil, err
	}
	if err = f.Describe(recipe, spec); err == nil {
		err = f.OpenMetrics(0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Lock takes hold of a folder that is there.
func Lock(dir string) (*Folder, error) {
	lock, err := disk.TryLock(filepath.Join(dir, lockFile))
	if disk.Unsupported(err) {
		return &Folder{Dir: dir, NoLock: err}, nil
	}
	if err != nil {
		return nil, err
	}
	if lock == nil {
		return nil, fmt.Errorf("another process is running in %s", dir)
	}
	return &Folder{Dir: dir, lock: lock}, nil
}

// Describe writes what the run is, and before it, unless spec is nil, what its user asked for: a kill between the two
// leaves the run that was there.
func (f *Folder) Describe(recipe, spec any) error {
	if spec != nil {
		if err := writeFile(filepath.Join(f.Dir, SpecFile), spec); err != nil {
			return err
		}
	}
	return writeFile(filepath.Join(f.Dir, RecipeFile), recipe)
}

// Clean removes checkpoints that are not whole.
func (f *Folder) Clean() error {
	_, err := checkpoint.Clean(f.Checkpoints())
	return err
}

// Checkpoints is the folder that they lie in.
func (f *Folder) Checkpoints() string { return filepath.Join(f.Dir, checkpointsDir) }

// OpenMetrics cuts the metrics to a length and appends from there.
func (f *Folder) OpenMetrics(size int64) (err error) {
	f.Metrics, err = Append(f.Dir, size)
	return err
}

// Close releases the folder.
func (f *Folder) Close() error {
	if f.Metrics != nil {
		f.Metrics.Close()
	}
	return f.lock.Release()
}

// Discard removes a run that took no step and releases the folder. What is not
// a run's stays, and so does a checkpoint.
func (f *Folder) Discard() error {
	if f.Metrics != nil {
		f.Metrics.Close() // Windows keeps what is open
	}
	for _, name := range []string{File, RecipeFile, SpecFile} {
		if err := os.Remove(filepath.Join(f.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := f.lock.Release(); err != nil {
		return err
	}
	f.lock.Remove()
	os.Remove(f.Checkpoints()) // these two only if they are empty
	os.Remove(f.Dir)
	return nil
}

// RecipeText is a run's recipe as its folder has it, and the file.
func RecipeText(dir string) (text []byte, path string, err error) {
	path = filepath.Join(dir, RecipeFile)
	text, err = os.ReadFile(path)
	if disk.Missing(err) {
		err = fmt.Errorf("%s holds no run: there is no %s", dir, RecipeFile)
	}
	return text, path, err
}

// HoldsRun reports whether a folder is a run's.
func HoldsRun(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, RecipeFile))
	return err == nil
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
	return disk.Rename(tmp, path)
}
