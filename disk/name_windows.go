package disk

import (
	"errors"
	"syscall"
)

// noName knows ERROR_INVALID_NAME, ERROR_BAD_PATHNAME and ERROR_FILENAME_EXCED_RANGE.
func noName(err error) bool {
	return errors.Is(err, syscall.Errno(123)) || errors.Is(err, syscall.Errno(161)) || errors.Is(err, syscall.Errno(206))
}
