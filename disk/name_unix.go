//go:build unix

package disk

import (
	"errors"
	"syscall"
)

// noName reports whether an error is over a name that is too long.
func noName(err error) bool { return errors.Is(err, syscall.ENAMETOOLONG) }
