//go:build !linux

package gpu

// smallPages does nothing: huge pages are not used unasked.
func smallPages() {}
