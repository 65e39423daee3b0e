// Package flags has the groups of flags that commands share, what becomes of them, a session.Spec or an open device,
// and how errors of the libraries, which know options alone, are worded in flags.
package flags

import "fmt"

// UsageError is a command line that cannot be understood.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }

func (e UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }
