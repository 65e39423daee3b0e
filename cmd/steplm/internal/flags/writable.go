package flags

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Writable makes sure that a file can be written where it shall be, and leaves nothing there.
func Writable(path string) error {
	if at, err := os.Stat(path); err == nil && !at.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", path, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
