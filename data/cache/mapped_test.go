package cache

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that shrinks while it is mapped gives an error, not a crash.
func TestMappedFileIsCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := newMapped(f, 0, 1<<20)
	defer m.close()
	if _, err := m.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(4096); err != nil {
		t.Skip("this system does not cut mapped files: ", err)
	}
	m.skip(100_000)
	if _, err := m.Read(make([]byte, 10)); err == nil || !strings.Contains(err.Error(), "ends before") {
		t.Errorf("error %v", err)
	}
}

// A file that cannot be mapped, as those of Linux's /proc, is read all the same.
func TestFileThatCannotBeMapped(t *testing.T) {
	f, err := os.Open("/proc/version")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	if _, err := mapFile(f, 0, 10); err == nil {
		t.Skip("this system maps it")
	}
	want, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	m := newMapped(f, 3, int64(len(want))-3-5)
	got, err := io.ReadAll(m)
	if string(got) != string(want[3:len(want)-5]) || err != nil {
		t.Errorf("%q: %v", got, err)
	}
	m = newMapped(f, 0, int64(len(want))+1)
	if _, err := io.ReadAll(m); err == nil || !strings.Contains(err.Error(), "ends before") {
		t.Errorf("error %v", err)
	}
}
