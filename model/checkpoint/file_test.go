package checkpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Where LATEST is missing the newest whole checkpoint is found, whatever happened to those after it.
func TestNewest(t *testing.T) {
	parent := t.TempDir()
	names := []string{"step-2", "step-9", "step-10"}
	if _, _, err := Newest(parent, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of none: error %v", err)
	}
	for _, name := range names {
		save(t, parent, name, 1)
	}
	damages := []struct {
		name, want string
		damage     func(dir string) error
	}{
		{"", "step-10", nil},
		{"step-10", "step-9", func(dir string) error { return os.Truncate(filepath.Join(dir, "weights.bin"), 10) }},
		{"step-9", "step-2", func(dir string) error { return os.Remove(filepath.Join(dir, "checksums.json")) }},
	}
	for n, d := range damages {
		if d.damage != nil {
			if err := d.damage(filepath.Join(parent, d.name)); err != nil {
				t.Fatal(err)
			}
		}
		name, damaged, err := Newest(parent, names)
		if name != d.want || len(damaged) != n || err != nil {
			t.Errorf("after damage of %q: %q, %v, error %v", d.name, name, damaged, err)
		}
	}
	writeFile(t, filepath.Join(parent, "step-2", "state.json"), []byte("{"))
	if _, _, err := Newest(parent, names); err == nil || errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(err.Error(), "none of the 3 checkpoints") {
		t.Errorf("where none is whole: error %v", err)
	}
}

// A file that is written whole leaves nothing beside it, and a kill leaves what Clean removes.
func TestWriteFile(t *testing.T) {
	parent := t.TempDir()
	path := filepath.Join(parent, "recipe.json")
	for _, content := range []string{"first", "second, longer", ""} {
		if err := WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%q, %v", got, err)
		}
	}
	wantEntries(t, parent, "recipe.json")
	if err := WriteFile(filepath.Join(parent, "none", "recipe.json"), nil); err == nil {
		t.Error("a folder that is not there was written into")
	}
	// What cannot be replaced stays, and nothing is left beside it.
	if err := os.MkdirAll(filepath.Join(parent, "folder", "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(parent, "folder"), []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	wantEntries(t, parent, "folder", "recipe.json")
	if !IsLeftover(hidden("recipe.json", saving)) || IsLeftover("recipe.json") || IsLeftover(".cache") {
		t.Error("leftovers are not told from other files")
	}
}

// Whatever is made is made known to the disk: each new folder's name, and the names in it.
func TestNamesAreSynced(t *testing.T) {
	var synced []string
	defer func(real func(string) error) { syncDir = real }(syncDir)
	syncDir = func(path string) error {
		synced = append(synced, path)
		return nil
	}
	root := t.TempDir()
	run := filepath.Join(root, "a", "run")
	if err := MakeDir(run); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(run); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(run, "recipe.json"), nil); err != nil {
		t.Fatal(err)
	}
	checkpoints := filepath.Join(run, "checkpoints")
	save(t, checkpoints, "step-1", 1)
	for _, dir := range []string{root, filepath.Join(root, "a"), run, checkpoints} {
		found := 0
		for _, s := range synced {
			if s == dir {
				found++
			}
		}
		if want := map[string]int{run: 2}[dir]; found < max(want, 1) {
			t.Errorf("%s was synced %d times: %v", dir, found, synced)
		}
	}
}
