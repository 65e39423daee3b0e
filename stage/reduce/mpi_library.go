package reduce

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// LibraryVariable names the MPI library in the environment, where the one that is found is not the right one.
const LibraryVariable = "STEPLM_MPI"

// library is an MPI library: its functions and its handles. A handle is an integer of a pointer's width in the
// standard ABI, an address in Open MPI, and an int in MPICH; all are passed alike.
type library struct {
	path    string
	handle  uintptr
	version string // the first line of what it says of itself
	abi     string // whose handles they are

	promoted bool

	world, byteType, errorsReturn uintptr
	statusIgnore                  uintptr
	funneled                      int32

	initThread     func(argc, argv unsafe.Pointer, required int32, provided *int32) int32
	finalize       func() int32
	abort          func(comm uintptr, code int32) int32
	commRank       func(comm uintptr, rank *int32) int32
	commSize       func(comm uintptr, size *int32) int32
	setErrhandler  func(comm, handler uintptr) int32
	errorString    func(code int32, text *byte, length *int32) int32
	libraryVersion func(text *byte, length *int32) int32
	ialltoall      func(send unsafe.Pointer, n int32, dt uintptr, recv unsafe.Pointer, m int32, rt uintptr,
		comm uintptr, request unsafe.Pointer) int32
	iallgather func(send unsafe.Pointer, n int32, dt uintptr, recv unsafe.Pointer, m int32, rt uintptr,
		comm uintptr, request unsafe.Pointer) int32
	isend func(buf unsafe.Pointer, n int32, dt uintptr, to, tag int32, comm uintptr, request unsafe.Pointer) int32
	irecv func(buf unsafe.Pointer, n int32, dt uintptr, from, tag int32, comm uintptr, request unsafe.Pointer) int32
	test  func(request unsafe.Pointer, done *int32, status uintptr) int32
}

// functions are the names of a library's functions.
func (l *library) functions() map[string]any {
	return map[string]any{
		"MPI_Init_thread": &l.initThread, "MPI_Finalize": &l.finalize, "MPI_Abort": &l.abort,
		"MPI_Comm_rank": &l.commRank, "MPI_Comm_size": &l.commSize, "MPI_Comm_set_errhandler": &l.setErrhandler,
		"MPI_Error_string": &l.errorString, "MPI_Get_library_version": &l.libraryVersion,
		"MPI_Ialltoall": &l.ialltoall, "MPI_Iallgather": &l.iallgather, "MPI_Isend": &l.isend, "MPI_Irecv": &l.irecv,
		"MPI_Test": &l.test,
	}
}

// libraryFolders are where to look besides where the system does: beside the program that started this process and
// beside the mpirun that a shell finds, as a virtual environment of Python or a module of a cluster has it.
func libraryFolders() (list []string) {
	programs := []string{}
	if path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", os.Getppid())); err == nil {
		programs = append(programs, path)
	}
	for _, name := range []string{"mpirun", "mpiexec"} {
		if path, err := exec.LookPath(name); err == nil {
			programs = append(programs, path)
			if path, err = filepath.EvalSymlinks(path); err == nil {
				programs = append(programs, path)
			}
		}
	}
	for _, path := range programs {
		list = append(list, foldersOf(path)...)
	}
	return list
}

// findLibrary loads the first library that is of the launcher's family, or, where none is, the first of all.
func findLibrary(l Launched) (*library, error) {
	var tried []string
	if path := os.Getenv(LibraryVariable); path != "" {
		lib, err := openLibrary(path)
		if err != nil {
			return nil, fmt.Errorf("the MPI library that %s names, %s, cannot be used: %w", LibraryVariable, path, err)
		}
		return lib, lib.promote()
	}
	var other *library
	look := func(name string) *library {
		lib, err := openLibrary(name)
		switch {
		case errors.Is(err, errNotThere):
			return nil
		case err != nil:
			tried = append(tried, fmt.Sprintf("%s: %v", name, err))
			return nil
		case l.family == "" || lib.family() == l.family:
			return lib
		case other == nil:
			other = lib
		default:
			lib.close()
		}
		return nil
	}
	// Those of the launcher's own folder first: it knows what its processes need.
	for _, dir := range libraryFolders() {
		for _, name := range libraryNames {
			if lib := look(filepath.Join(dir, name)); lib != nil {
				return lib, lib.promote()
			}
		}
	}
	for _, name := range libraryNames {
		if lib := look(name); lib != nil {
			return lib, lib.promote()
		}
	}
	if other != nil {
		return other, other.promote()
	}
	why := ""
	if len(tried) > 0 {
		why = " (" + strings.Join(tried, "; ") + ")"
	}
	return nil, fmt.Errorf("found no MPI library%s: looked for %s where the system does and beside mpirun; install "+
		"%s, or name the library in %s", why, strings.Join(libraryNames, ", "), installable, LibraryVariable)
}

// promote makes the library's symbols everybody's: Open MPI's own plugins look for them. Those of a library that is not
// taken must not be.
func (l *library) promote() error {
	_, err := load(l.path, true)
	l.promoted = err == nil
	return err
}

// family is the library's, by its own words.
func (l *library) family() string {
	if strings.HasPrefix(l.version, openMPI) {
		return openMPI
	}
	return mpich
}

// errNotThere is a library that the system does not find.
var errNotThere = errors.New("not there")

// openLibrary loads a library, finds its functions and knows its handles; nothing of MPI is begun yet.
func openLibrary(name string) (_ *library, err error) {
	handle, err := load(name, false)
	if err != nil {
		return nil, err
	}
	l := &library{path: name, handle: handle}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	for name, function := range l.functions() {
		if err := bind(function, handle, name); err != nil {
			return nil, fmt.Errorf("it has no %s", name)
		}
	}
	text := make([]byte, 8192+1) // MPI_MAX_LIBRARY_VERSION_STRING of all, and of any string
	var n int32
	if code := l.libraryVersion(&text[0], &n); code != 0 {
		return nil, fmt.Errorf("MPI_Get_library_version returned %d", code)
	}
	text, _, _ = bytes.Cut(text, []byte{0})
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	line, _, _ = strings.Cut(line, ",") // Open MPI goes on about who made it.
	l.version = strings.Join(strings.Fields(line), " ")
	return l, l.setHandles()
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

// setHandles takes the handles of the ABI that the library has.
func (l *library) setHandles() error {
	address := func(name string) uintptr { a, _ := symbol(l.handle, name); return a }
	switch world := address("ompi_mpi_comm_world"); {
	case strings.Contains(filepath.Base(l.path), "mpi_abi") || address("MPI_Abi_get_version") != 0 && world == 0 &&
		!strings.HasPrefix(l.version, "MPICH") && !strings.HasPrefix(l.version, "Intel"):
		l.abi = "the standard ABI"
		l.world, l.byteType, l.errorsReturn, l.statusIgnore, l.funneled = 0x101, 0x247, 0x143, 0, 1024
	case world != 0:
		l.abi = "Open MPI's handles"
		l.world, l.byteType, l.errorsReturn = world, address("ompi_mpi_byte"), address("ompi_mpi_errors_return")
		l.statusIgnore, l.funneled = 0, 1
		if l.byteType == 0 || l.errorsReturn == 0 {
			return fmt.Errorf("it lacks handles of Open MPI")
		}
	default:
		l.abi = "MPICH's handles"
		l.world, l.byteType, l.errorsReturn, l.statusIgnore, l.funneled = 0x44000000, 0x4c00010d, 0x54000001, 1, 1
	}
	return nil
}

// describe names the library to people.
func (l *library) describe() string { return fmt.Sprintf("%s, by %s (%s)", l.version, l.abi, l.path) }

// check makes an error of what a function returns.
func (l *library) check(what string, code int32) error {
	if code == 0 {
		return nil
	}
	text := make([]byte, 8192)
	var n int32
	l.errorString(code, &text[0], &n)
	text, _, _ = bytes.Cut(text, []byte{0})
	return fmt.Errorf("%s: %s", what, strings.Join(strings.Fields(string(text)), " "))
}
