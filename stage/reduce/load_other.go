//go:build !linux && !darwin

package reduce

import (
	"errors"
	"fmt"
)

// errNoLoader is that MPI is not loaded on this system.
var errNoLoader = errors.New("MPI is loaded on Linux and macOS only")

func load(string, bool) (uintptr, error) { return 0, fmt.Errorf("%w: %w", errNotThere, errNoLoader) }

func bind(any, uintptr, string) error { return errNoLoader }

func symbol(uintptr, string) (uintptr, error) { return 0, errNoLoader }

func (l *library) close() {}
