package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"steplm/disk"
)

// WriteFile gives a file a content by a rename, so that a reader, and a machine whose power is
// cut, sees the old content or the new one. What a kill leaves beside it, Clean removes.
func WriteFile(path string, content []byte) error {
	parent, name := filepath.Split(path)
	temporary := filepath.Join(parent, hidden(name, saving))
	err := writeSynced(temporary, content)
	if err == nil {
		if err = disk.Rename(temporary, path); err != nil {
			err = notRenamed{err}
		}
	}
	if err != nil {
		os.Remove(temporary)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// notRenamed is that a file kept its old content, because the system refused the new one its name.
type notRenamed struct{ error }

func (e notRenamed) Unwrap() error { return e.error }

func writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, disk.Synced(f.Sync()), f.Close())
}

// MakeDir makes a directory and those above it that are missing, and has the disk know their
// names.
func MakeDir(path string) error {
	var made []string
	for dir := filepath.Clean(path); !exists(dir) && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		made = append(made, dir)
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	for _, dir := range made {
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// syncDir is disk.SyncDir, but for the tests of what is synced.
var syncDir = disk.SyncDir

// readSmall reads a file of one line, and nothing that never ends, as a pipe or a device.
func readSmall(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no file (%s): remove it, and write the name of one of its neighbours into a file "+
			"of its name", path, info.Mode().Type())
	}
	text, err := disk.ReadFile(path)
	return string(text), err
}
