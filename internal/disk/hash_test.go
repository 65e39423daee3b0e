package disk

import (
	"path/filepath"
	"testing"
)

// The hash is FIPS 180-2's of its example "abc"; what cannot be read has none.
func TestHash(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "abc")
	if err := WriteFile(path, []byte("abc")); err != nil {
		t.Fatal(err)
	}
	got, err := Hash(path)
	if err != nil || got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := Hash(filepath.Join(dir, "none")); !Missing(err) || got != "" {
		t.Errorf("a file that is not there: %q, %v", got, err)
	}
	if got, err := Hash(dir); err == nil || got != "" {
		t.Errorf("a folder: %q, %v", got, err)
	}
}
