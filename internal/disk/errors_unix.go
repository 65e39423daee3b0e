//go:build unix

package disk

import (
	"errors"
	"syscall"
)

// noName reports whether an error is over a name that is too long.
func noName(err error) bool { return errors.Is(err, syscall.ENAMETOOLONG) }

// syncsDirs says that directories can be opened and synced.
const syncsDirs = true

// lacks reports whether an error is how a file system without locks (ENOLCK) or without syncing of what is
// no regular file (EINVAL) says so.
func lacks(err error) bool { return errors.Is(err, syscall.ENOLCK) || errors.Is(err, syscall.EINVAL) }
