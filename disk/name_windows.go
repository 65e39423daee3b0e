package disk

import (
	"errors"
	"slices"
	"syscall"
)

// noNames are ERROR_INVALID_NAME, ERROR_BAD_PATHNAME and ERROR_FILENAME_EXCED_RANGE.
var noNames = []syscall.Errno{123, 161, 206}

func noName(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number) && slices.Contains(noNames, number)
}
