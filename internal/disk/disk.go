// Package disk renames, removes and looks up files as it must be done on every system.
//
// It is the lowest package, which everything that writes files may import. What Go cannot enforce: a
// file is written beside its name and takes it by Rename, and a removal that fails is a warning for
// whoever asked for it, never the end of a run. Windows refuses both for as long as any program has
// the file open, such as a virus scanner or a reader of the run, and Linux for files that are
// immutable or mounted upon.
package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/robustio"
)

// Missing reports whether an error of a look-up says that there is no such file. A name that the system
// does not take is one of no file: on Windows one with a * in it, say, and anywhere one that is too long.
func Missing(err error) bool { return errors.Is(err, fs.ErrNotExist) || noName(err) }

// Rename is os.Rename, which replaces what has the new name, but on Windows waits up to two seconds for
// other programs to close either file.
func Rename(from, to string) error {
	if err := refused("rename", to); err != nil {
		return err
	}
	return robustio.Rename(from, to)
}

// ReadFile is os.ReadFile, but on Windows waits likewise for a file that is just being replaced.
func ReadFile(path string) ([]byte, error) { return robustio.ReadFile(path) }

// Remove removes a file, or a directory with all that is in it, as far as the system lets it; the error
// names the first thing that stayed. What does not exist is removed.
//
// It is not os.RemoveAll, since that needs a call of Windows that network drives and wine may lack.
func Remove(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var first error
	if info.IsDir() {
		var entries []fs.DirEntry
		entries, first = os.ReadDir(path)
		for _, e := range entries {
			if err := Remove(filepath.Join(path, e.Name())); first == nil {
				first = err
			}
		}
	}
	if first == nil {
		first = refused("remove", path)
	}
	if first == nil {
		first = os.Remove(path)
	}
	if errors.Is(first, fs.ErrNotExist) { // Somebody else has removed it meanwhile.
		return nil
	}
	return first
}

// refusal is what Refuse sets.
var refusal atomic.Pointer[func(operation, path string) error]

func refused(operation, path string) error {
	if ask := refusal.Load(); ask != nil {
		if err := (*ask)(operation, path); err != nil {
			return &fs.PathError{Op: operation, Path: path, Err: err}
		}
	}
	return nil
}

// Refuse is for tests alone: from now on ask is called before every rename, with the new name, every removal of a file
// or an empty directory, and every change of a mode, and what it returns is the system's error. nil ends that.
func Refuse(ask func(operation, path string) error) {
	if ask == nil {
		refusal.Store(nil)
		return
	}
	refusal.Store(&ask)
}
