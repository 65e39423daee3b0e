package record

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A line that the disk has no room for leaves nothing of itself: what the run says of its end is read after the lines
// that are whole.
func TestFullDiskCutsNoLine(t *testing.T) {
	dir := t.TempDir()
	w, _, err := Append(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(Metrics{Step: 1, Loss: 2, Tokens: 3}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	full := syscall.Rlimit{Cur: uint64(info.Size()) + 5, Max: was.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	err = w.Write(Metrics{Step: 2, Loss: 2, Tokens: 6})
	if again := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); again != nil {
		t.Fatal(again)
	}
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("five bytes fit: %v", err)
	}
	if err := w.Write(Failure{At: At{Step: 1, Stage: 1}, Error: err.Error()}); err != nil {
		t.Fatal(err)
	}
	if err := w.Keep(); err != nil {
		t.Fatal(err)
	}
	kept, err := w.Kept()
	if info, _ := os.Stat(filepath.Join(dir, File)); err != nil || kept != info.Size() {
		t.Errorf("%d bytes are kept of %d (%v)", kept, info.Size(), err)
	}
	var kinds []string
	for e, err := range Read(dir) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.Kind())
	}
	if len(kinds) != 2 || kinds[1] != (Failure{}).Kind() {
		t.Errorf("the metrics hold %q", kinds)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
