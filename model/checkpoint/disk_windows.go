package checkpoint

import (
	"errors"
	"syscall"
)

// noInodes: NTFS has as many files as fit.
var noInodes = func(string) bool { return false }

// diskFull knows ERROR_HANDLE_DISK_FULL and ERROR_DISK_FULL.
func diskFull(err error) bool {
	return errors.Is(err, syscall.Errno(39)) || errors.Is(err, syscall.Errno(112))
}
