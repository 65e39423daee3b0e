package stage

import (
	"fmt"

	"steplm/stage/recipe"
	"steplm/stage/record"
)

// Folder is a run on disk whose recipe is known. One process at a time holds it.
type Folder struct {
	*record.Folder
	hash string // of the recipe as the folder has it
}

// CreateFolder begins a run in dir, which must not exist or be empty. spec, unless nil, is kept beside the
// recipe.
func CreateFolder(dir string, r recipe.Recipe, spec any) (*Folder, error) {
	f, err := record.Create(dir, r, spec)
	if err != nil {
		return nil, err
	}
	return &Folder{f, r.Hash()}, nil
}

// OpenFolder takes up a run that was begun with the same recipe.
func OpenFolder(dir string, r recipe.Recipe) (*Folder, error) {
	if _, err := sameRecipe(dir, r); err != nil {
		return nil, err // before the lock, which would be a trace in a folder that holds no run
	}
	f, err := record.Lock(dir)
	if err != nil {
		return nil, err
	}
	hash, err := sameRecipe(dir, r) // Another process may have held it, and lengthened the run.
	if err == nil {
		err = f.Clean()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Folder{f, hash}, nil
}

// FollowFolder is the folder of a run to a process that does not lead: it reads its checkpoints and writes nothing.
// hash is the recipe's as its checkpoints have it, see Folder.Hash.
func FollowFolder(dir, hash string) *Folder { return &Folder{&record.Folder{Dir: dir}, hash} }

// Hash is the recipe's as the folder has it.
func (f *Folder) Hash() string { return f.hash }

// sameRecipe is the hash of a folder's recipe, which must be r.
func sameRecipe(dir string, r recipe.Recipe) (hash string, err error) {
	saved, hash, err := readRecipe(dir)
	if err != nil {
		return "", err
	}
	if d := r.Differences(saved); d != "" {
		return "", fmt.Errorf("cannot resume %s with another recipe: %s", dir, d)
	}
	return hash, nil
}

// LengthenFolder takes up a run that is to have so many steps, and keeps that in its folder, with the spec
// that asks for it.
func LengthenFolder(dir string, steps int, spec any) (*Folder, recipe.Recipe, error) {
	f, err := record.Lock(dir)
	if err != nil {
		return nil, recipe.Recipe{}, err
	}
	saved, hash, err := readRecipe(dir)
	length, stable := saved.Steps(), 0
	if err == nil {
		stable = saved.DecayFrom()
		saved, err = saved.Extend(steps, hash)
	}
	if err == nil && stable > 0 && beyond(dir, stable) {
		err = f.Rewind(stable, length)
	}
	if err == nil {
		err = f.Describe(saved, spec)
	}
	if err == nil {
		err = f.Clean()
	}
	if err != nil {
		f.Close()
		return nil, saved, err
	}
	return &Folder{f, saved.Hash()}, saved, nil
}

// beyond reports whether a run's last checkpoint lies after a step.
func beyond(dir string, step int) bool {
	name, _, err := record.LastCheckpoint(dir)
	var at int
	n, _ := fmt.Sscanf(name, "step-%d", &at)
	return err == nil && n == 1 && at > step
}

// ReadRecipe reads a run folder's recipe.
func ReadRecipe(dir string) (recipe.Recipe, error) {
	r, _, err := readRecipe(dir)
	return r, err
}

// readRecipe also hashes it as the program did that wrote it, whatever its format.
func readRecipe(dir string) (r recipe.Recipe, hash string, err error) {
	text, path, err := record.RecipeText(dir)
	if err != nil {
		return r, "", err
	}
	if r, hash, err = recipe.Decode(text); err != nil {
		return r, "", fmt.Errorf("%s: %w", path, err)
	}
	return r, hash, nil
}
