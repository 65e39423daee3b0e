//go:build !windows

package disk

import "os"

// Sparse lets parts of a file that nobody writes take no room, where the file system can do that: on NTFS it must be
// asked, and on others files are so anyway.
func Sparse(*os.File) {}
