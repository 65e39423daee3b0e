package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestMissing(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]bool{
		"nothing": true, strings.Repeat("x", 300): true, "no/such/folder": true,
		"train-*.parquet": true, // which Windows does not take for a name
		".":               false,
	} {
		if _, err := os.Stat(filepath.Join(dir, name)); Missing(err) != want {
			t.Errorf("%.20s is missing: %v (%v)", name, Missing(err), err)
		}
	}
	if Missing(fs.ErrPermission) || Missing(nil) {
		t.Error("another error than that of a missing file")
	}
}

func TestRemove(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	for _, path := range []string{"a/b/c", "a/d", "e"} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(dir, "link")); err != nil {
		t.Log(err) // which Windows allows to few
	}
	Refuse(func(operation, path string) error {
		if operation == "remove" && filepath.Base(path) == "c" {
			return syscall.EBUSY
		}
		return nil
	})
	defer Refuse(nil)
	err := Remove(dir)
	if path := (*fs.PathError)(nil); !errors.As(err, &path) || path.Path != filepath.Join(dir, "a", "b", "c") ||
		!errors.Is(err, syscall.EBUSY) {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "a" {
		t.Errorf("left: %v, %v", left, err)
	}
	Refuse(nil)
	for range 2 { // the second time nothing is there
		if err := Remove(dir); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("behind a link: %v", err)
	}
}

func TestRenameReplaces(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	for path, text := range map[string]string{from: "new", to: "old"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	Refuse(func(operation, path string) error {
		if operation == "rename" && path == to {
			return syscall.EACCES
		}
		return nil
	})
	defer Refuse(nil)
	if err := Rename(from, to); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("refused: %v", err)
	}
	Refuse(nil)
	if err := Rename(from, to); err != nil {
		t.Error(err)
	}
	if text, err := ReadFile(to); string(text) != "new" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
