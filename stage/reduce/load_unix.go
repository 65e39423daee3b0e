//go:build linux || darwin

package reduce

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/ebitengine/purego"
)

// libraryNames are what to look for: the standard ABI of MPI 5 first, then Open MPI's and MPICH's own, by which Intel
// MPI, MVAPICH and Cray MPICH go too.
var libraryNames = map[string][]string{
	"darwin": {"libmpi_abi.1.dylib", "libmpi_abi.dylib", "libmpi.40.dylib", "libmpi.12.dylib", "libmpi.dylib"},
	"linux": {"libmpi_abi.so.1", "libmpi_abi.so", "libmpi.so.40", "libmpi.so.80", "libmpich.so.12", "libmpi.so.12",
		"libmpi.so"},
}[runtime.GOOS]

// installable are libraries that people can install.
const installable = "Open MPI or MPICH"

// foldersOf are where a library may be that belongs to a launcher.
func foldersOf(launcher string) []string {
	root := filepath.Dir(filepath.Dir(launcher))
	several, _ := filepath.Glob(filepath.Join(root, "lib", "*-linux-gnu*")) // Debian's
	return append([]string{filepath.Join(root, "lib"), filepath.Join(root, "lib64")}, several...)
}

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

// symbol is the address of a library's name.
func symbol(library uintptr, name string) (uintptr, error) { return purego.Dlsym(library, name) }

// close unloads a library that is not used.
func (l *library) close() { purego.Dlclose(l.handle) }

// unload takes the library out of the process once MPI has ended, which MPICH 5 needs: it takes leave of its launcher
// in a handler of the C library's exit, which Go does not call, or when it is unloaded.
func (l *library) unload() {
	if l.family() != mpich {
		return
	}
	l.close()
	if l.promoted {
		l.close()
	}
}
