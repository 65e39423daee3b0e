package disk

import (
	"os"

	"golang.org/x/sys/windows"
)

// Sparse lets parts of a file that nobody writes take no room, where the file system can do that: on NTFS it must be
// asked, and on others files are so anyway.
func Sparse(f *os.File) {
	var n uint32
	_ = windows.DeviceIoControl(windows.Handle(f.Fd()), windows.FSCTL_SET_SPARSE, nil, 0, nil, 0, &n, nil)
}
