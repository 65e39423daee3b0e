package stories

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"steplm/gpu"
	"steplm/model"
	"steplm/stage"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
)

// A checkpoint of a version that wrote no layout is read through its run's recipe; away from its run
// it cannot be.
func TestOpenEarlyCheckpoint(t *testing.T) {
	s := ended(t, nil)
	dir, d := s.checkpoint(t), gpu.NewHost()
	want, err := model.ReadLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, dir, func(_ string, text []byte) []byte { return text }) // without the layout
	if _, err := model.Open(d, dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a checkpoint without a layout: %v", err)
	}
	got, err := stage.SavedLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.OpenCheckpoint(d, dir, got)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Layout.Blocks, want.Blocks) || m.Storage != want.Storage {
		t.Errorf("opened as %+v, written as %+v", m.Layout, want)
	}
	m.Free()
	if err := os.Rename(filepath.Join(s.Dir, record.RecipeFile), filepath.Join(s.Dir, "lost.json")); err != nil {
		t.Fatal(err)
	}
	_, err = stage.SavedLayout(dir)
	recipetest.WantError(t, err, dir, model.LayoutFile, "holds no run")
}

// What a checkpoint lacks is named.
func TestOpenCheckpointErrors(t *testing.T) {
	for _, file := range []string{model.LayoutFile, model.WeightsFile, "checksums.json"} {
		s := ended(t, nil)
		dir, d := s.checkpoint(t), gpu.NewHost()
		path := filepath.Join(dir, file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		_, err = model.Open(d, dir)
		recipetest.WantError(t, err, dir, file, "missing")
		if file != "checksums.json" {
			text[len(text)/2] ^= 1
			write(t, path, string(text))
			_, err = model.Open(d, dir)
			recipetest.WantError(t, err, dir, file, "was changed")
		}
		if n := d.Ledger().Total(); n != 0 {
			t.Errorf("%s: %d bytes are left on the device", file, n)
		}
	}
}
