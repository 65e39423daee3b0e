package disk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestWrite: a file gets a content whole, or keeps its old one, and nothing stays beside it.
func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	check := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("the file holds %q (%v), want %q", got, err, want)
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
			t.Errorf("beside the file: %v (%v)", entries, err)
		}
	}
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	check("old")

	broken := errors.New("broken")
	if err := Write(path, func(f *os.File) error {
		_, err := f.Write([]byte("half"))
		return errors.Join(err, broken)
	}); !errors.Is(err, broken) {
		t.Errorf("a writer that fails: %v", err)
	}
	check("old")

	Refuse(func(string, string) error { return syscall.EBUSY })
	err := WriteFile(path, []byte("new"))
	Refuse(nil)
	if !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a name that is refused: %v", err)
	}
	check("old")

	// A share whose files are another user's has its own modes.
	Refuse(func(operation, _ string) error {
		if operation == "chmod" {
			return syscall.EPERM
		}
		return nil
	})
	err = WriteFile(path, []byte("theirs"))
	Refuse(nil)
	if err != nil {
		t.Errorf("a mode that cannot be said: %v", err)
	}
	check("theirs")

	if err := WriteFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	check("new")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o444 != 0o444 {
		t.Errorf("the file's mode is %v (%v), want readable by all", info.Mode(), err)
	}
	if err := WriteFile(filepath.Join(path, "below"), nil); err == nil {
		t.Error("a file in a file was written")
	}
}
