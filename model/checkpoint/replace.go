package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"steplm/disk"
)

// Replace writes a file that lies beside what a directory lists, whole or not at all: a reader sees the old content or
// the new one, and after a crash there is one of them. The file gets the permissions that a new one has.
func Replace(path string, content []byte) error {
	temporary := ""
	err := func() error {
		// CreateTemp's name is one that nobody can have prepared.
		f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
		if err != nil {
			return err
		}
		temporary = f.Name()
		_, err = f.Write(content)
		if err = errors.Join(err, f.Chmod(0o644), disk.Synced(f.Sync()), f.Close()); err != nil {
			return err
		}
		return disk.Rename(temporary, path)
	}()
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		if temporary != "" {
			os.Remove(temporary)
		}
		return fmt.Errorf("writing %s: %w; what it was before is still whole", path, err)
	}
	return nil
}
