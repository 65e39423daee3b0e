package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Temporary ends the name of a file that Write has not finished, which a kill may leave: NAME.12345.tmp.
const Temporary = ".tmp"

// Write gives a file of the mode 0644, where the file system lets its mode be said, the content that write puts into
// it: whole, by a rename, or not at all. It replaces what has the name.
func Write(path string, write func(f *os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+Temporary)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err = write(f); err == nil {
		if err = refused("chmod", f.Name()); err == nil {
			err = f.Chmod(0o644)
		}
		if errors.Is(err, fs.ErrPermission) || Unsupported(err) { // as on a share whose files are another user's
			err = nil
		}
		err = errors.Join(err, Synced(f.Sync()))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return Rename(f.Name(), path)
}

// WriteFile is Write of a content that is in memory.
func WriteFile(path string, content []byte) error {
	return Write(path, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
}
