//go:build linux || darwin

package reduce

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ebitengine/purego"
)

// load loads a library by its name or path, with its symbols for all that is loaded, or for itself.
func load(name string, forAll bool) (uintptr, error) {
	if filepath.IsAbs(name) {
		if _, err := os.Stat(name); err != nil {
			return 0, fmt.Errorf("%w: %v", errNotThere, err)
		}
	}
	scope := purego.RTLD_LOCAL
	if forAll {
		scope = purego.RTLD_GLOBAL
	}
	h, err := purego.Dlopen(name, purego.RTLD_NOW|scope)
	if err != nil && !filepath.IsAbs(name) && strings.HasPrefix(err.Error(), name+": cannot open") {
		return 0, fmt.Errorf("%w: %v", errNotThere, err)
	}
	if err == nil && h == 0 {
		err = errors.New("it was not loaded")
	}
	return h, err
}

// bind makes a Go function of a library's.
func bind(function any, library uintptr, name string) error {
	address, err := symbol(library, name)
	if err != nil {
		return err
	}
	purego.RegisterFunc(function, address)
	return nil
}

// symbol is the address of a library's name.
func symbol(library uintptr, name string) (uintptr, error) { return purego.Dlsym(library, name) }

// close unloads a library that is not used.
func (l *library) close() { purego.Dlclose(l.handle) }
