package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"steplm/internal/disk"
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
	// Before the lock, which would be a trace in a folder that is not the run's, and again while nobody else writes.
	if err := Beginnable(dir); err != nil {
		return nil, err
	}
	if err := checkpoint.MakeDir(dir); err != nil {
		return nil, err
	}
	beforeLock()
	f, err := Lock(dir)
	if err != nil {
		return nil, err
	}
	if err = Beginnable(dir); err == nil {
		err = f.Describe(recipe, spec)
	}
	if err == nil {
		_, err = f.OpenMetrics(0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// beforeLock is the moment between the two looks at a folder; tests begin another run in it.
var beforeLock = func() {}

// Beginnable refuses a folder that holds a run or anything else but what a killed beginning left.
func Beginnable(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == RecipeFile }) {
		return advice.With(fmt.Errorf("%s %w", dir, ErrBegun),
			advice.Way{{How: advice.Use, Option: advice.Resume}}, advice.Way{{How: advice.Another, Option: advice.Out}})
	}
	for _, e := range entries {
		if !slices.Contains([]string{lockFile, SpecFile}, e.Name()) && !checkpoint.IsLeftover(e.Name()) {
			return advice.With(fmt.Errorf("%s is not empty and holds no run (found %s)", dir, e.Name()),
				advice.Way{{How: advice.Another, Option: advice.Out}})
		}
	}
	return nil
}

// ErrBegun is a folder in which a run was to begin, and that has one.
var ErrBegun = errors.New("already holds a run")

// ErrHeld is a folder that another process holds.
var ErrHeld = errors.New("another process is running")

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
		return nil, fmt.Errorf("%w in %s", ErrHeld, dir)
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

// Clean removes what kills left: of saves, of the final model and of the files that say what the run is.
func (f *Folder) Clean() error {
	for _, dir := range []string{f.Dir, f.Checkpoints()} {
		if _, err := checkpoint.Clean(dir); err != nil {
			return err
		}
	}
	return nil
}

// Checkpoints is the folder that they lie in.
func (f *Folder) Checkpoints() string { return filepath.Join(f.Dir, checkpointsDir) }

// OpenMetrics cuts the metrics to a length and appends from there. The note, unless "", says that they are not what
// they were: Append.
func (f *Folder) OpenMetrics(size int64) (note string, err error) {
	if f.Metrics != nil { // that a run which goes back has written so far
		f.Metrics.Close()
	}
	f.Metrics, note, err = Append(f.Dir, size)
	return note, err
}

// CutMetrics cuts from the metrics what is of later steps than a moment, or of a later stage, and appends from there.
func (f *Folder) CutMetrics(m At) (note string, err error) {
	size, err := bytesUntil(f.Dir, m)
	if err != nil {
		return "", err
	}
	return f.OpenMetrics(size)
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
	for _, name := range []string{File, RecipeFile, SpecFile, SystemsFile} {
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

// writeFile writes JSON, whole or not at all.
func writeFile(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return checkpoint.WriteFile(path, append(b, '\n'))
}
