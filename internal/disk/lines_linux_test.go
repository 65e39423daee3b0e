package disk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What the system cuts short is taken away again, and the next line follows the last whole one, whether the file is
// open for appending alone or not.
func TestAppendLineIsWholeOrNotThere(t *testing.T) {
	for _, flag := range []int{os.O_WRONLY | os.O_APPEND, os.O_RDWR} {
		path := filepath.Join(t.TempDir(), "lines")
		f, err := os.OpenFile(path, flag|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if err := AppendLine(f, []byte("one\n")); err != nil {
			t.Fatal(err)
		}
		var was syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 6, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
		err = AppendLine(f, []byte("another\n"))
		if again := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); again != nil {
			t.Fatal(again)
		}
		if !errors.Is(err, syscall.EFBIG) {
			t.Errorf("two bytes fit: %v", err)
		}
		if err := AppendLine(f, []byte("three\n")); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "one\nthree\n" {
			t.Errorf("the file is %q (%v)", text, err)
		}
	}
}
