//go:build !linux

package memory

// SmallPages does nothing: huge pages are not used unasked.
func SmallPages() {}
