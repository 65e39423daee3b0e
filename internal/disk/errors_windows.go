package disk

import (
	"errors"
	"slices"
	"syscall"
)

// is reports whether an error has one of Windows's numbers.
func is(err error, numbers ...syscall.Errno) bool {
	var number syscall.Errno
	return errors.As(err, &number) && slices.Contains(numbers, number)
}

// noName knows ERROR_INVALID_NAME, ERROR_BAD_PATHNAME and ERROR_FILENAME_EXCED_RANGE.
func noName(err error) bool { return is(err, 123, 161, 206) }

// syncsDirs says that directories cannot be opened and synced.
const syncsDirs = false

// lacks knows ERROR_INVALID_FUNCTION and ERROR_NOT_SUPPORTED.
func lacks(err error) bool { return is(err, 1, 50) }
