package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "README.md")
	for _, text := range []string{"one", "another, longer", ""} {
		if err := Replace(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q, %v; want %q", got, err, text)
		}
	}
	// What cannot be replaced stays, and nothing is left beside it.
	if err := os.MkdirAll(filepath.Join(dir, "folder", "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Replace(filepath.Join(dir, "folder"), []byte("x")); err == nil ||
		!strings.Contains(err.Error(), "still whole") {
		t.Errorf("a folder was replaced: %v", err)
	}
	if err := Replace(filepath.Join(dir, "none", "x"), nil); err == nil {
		t.Error("a file in a folder that does not exist")
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%d entries are left, want README.md and folder", len(left))
	}
}
