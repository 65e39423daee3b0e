package disk

import (
	"errors"
	"io/fs"
	"os"
)

// Synced is the result of a file's Sync, but nil where its file system has no such call: what was written is then as
// safe as it can be there.
func Synced(err error) error {
	if Unsupported(err) {
		return nil
	}
	return err
}

// SyncDir makes renames and new names in a directory survive a power cut, where the system can: Windows cannot, and
// NTFS journals names itself; some file systems of networks cannot either, nor a user who may not read the directory.
func SyncDir(path string) error {
	if !syncsDirs {
		return nil
	}
	d, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(Synced(d.Sync()), d.Close())
}

// Unsupported reports whether an error says that a file system lacks what it was asked for.
func Unsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) || lacks(err) }
