package reduce

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// libraryNames are what to look for: the standard ABI of MPI 5 first, then Intel MPI's and Microsoft's own, which are
// MPICH's.
var libraryNames = []string{"mpi_abi.dll", "impi.dll", "msmpi.dll"}

// installable are libraries that people can install.
const installable = "Microsoft MPI or Intel MPI"

// foldersOf are where a library may be that belongs to a launcher: Windows has libraries beside programs.
func foldersOf(launcher string) []string { return []string{filepath.Dir(launcher)} }

// load loads a library by its path, which may need others beside it, or by its name: from the folder of this program or
// the system's. The current folder is none of them: whoever can write there must not choose what runs here. For whom
// its symbols are does not matter: here whoever wants one names the library.
func load(name string, _ bool) (uintptr, error) {
	flags := uintptr(windows.LOAD_LIBRARY_SEARCH_DEFAULT_DIRS)
	if filepath.IsAbs(name) {
		if _, err := os.Stat(name); err != nil {
			return 0, fmt.Errorf("%w: %v", errNotThere, err)
		}
		flags |= windows.LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR
	}
	h, err := windows.LoadLibraryEx(name, 0, flags)
	if err != nil && !filepath.IsAbs(name) && errors.Is(err, windows.ERROR_MOD_NOT_FOUND) {
		return 0, fmt.Errorf("%w: %v", errNotThere, err)
	}
	return uintptr(h), err
}

// symbol is the address of a library's name.
func symbol(library uintptr, name string) (uintptr, error) {
	return windows.GetProcAddress(windows.Handle(library), name)
}

// close unloads a library that is not used.
func (l *library) close() { windows.FreeLibrary(windows.Handle(l.handle)) }

// unload leaves the library in the process, whose end tells it.
func (l *library) unload() {}
