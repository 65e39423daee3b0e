//go:build unix

package checkpoint

import (
	"errors"
	"os"
	"syscall"
)

// syncFolder makes renames and new names in a directory survive a power cut.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // some network file systems cannot sync a directory
	}
	return errors.Join(err, d.Close())
}

// noInodes reports whether a file system has bytes to spare and no inode, so that only removing files helps.
var noInodes = func(path string) bool {
	var s syscall.Statfs_t
	return syscall.Statfs(path, &s) == nil && s.Files > 0 && s.Ffree == 0
}

func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
