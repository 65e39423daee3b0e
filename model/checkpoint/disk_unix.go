//go:build unix

package checkpoint

import (
	"errors"
	"syscall"
)

// noInodes reports whether a file system has bytes to spare and no inode, so that only removing files helps.
var noInodes = func(path string) bool {
	var s syscall.Statfs_t
	return syscall.Statfs(path, &s) == nil && s.Files > 0 && s.Ffree == 0
}

func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
