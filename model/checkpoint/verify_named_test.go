package checkpoint

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Named files are verified alone, and must be listed.
func TestVerifyNamed(t *testing.T) {
	parent := t.TempDir()
	d, err := Begin(parent, "here")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.json", "b.json"} {
		if err := d.WriteJSON(name, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Commit(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "here")
	if err := os.Remove(filepath.Join(dir, "b.json")); err != nil {
		t.Fatal(err)
	}
	if err := Verify(dir, "a.json"); err != nil {
		t.Errorf("a.json is as it was: %v", err)
	}
	for want, files := range map[string][]string{
		"b.json is missing": {"b.json"}, "does not list c.json": {"c.json"}, "here: b.json": nil,
	} {
		if err := Verify(dir, files...); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", files, err, want)
		}
	}
	if !Lists(dir, "b.json") || Lists(dir, "c.json") || Lists(parent, "a.json") {
		t.Error("what is listed is told wrongly")
	}
}
