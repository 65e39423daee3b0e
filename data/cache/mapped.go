package cache

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

// viewBytes is how much of a file is mapped at a time, so that what was read
// does not stay resident. It is a multiple of every system's page, and of
// Windows's allocation unit.
const viewBytes = 16 << 20

// mapped reads a range of a file through maps of its pages, or where its file system has none, as some of networks
// have not, piece by piece.
type mapped struct {
	file    *os.File
	at, end int64
	view    []byte // of the file from base on; nil: none yet
	base    int64
}

func newMapped(f *os.File, offset, size int64) *mapped {
	return &mapped{file: f, at: offset, end: offset + size}
}

func (m *mapped) skip(n int64) { m.at += n }

func (m *mapped) close() error {
	if m.view == nil {
		return nil
	}
	view := m.view
	m.view = nil
	return unmap(view)
}

// Read copies what the current view has of the rest. A file that was cut short
// meanwhile is an error.
func (m *mapped) Read(p []byte) (n int, err error) {
	if m.at >= m.end {
		return 0, io.EOF
	}
	if m.view == nil || m.at < m.base || m.at >= m.base+int64(len(m.view)) {
		if err := m.close(); err != nil {
			return 0, err
		}
		m.base = m.at / viewBytes * viewBytes
		if m.view, err = mapFile(m.file, m.base, int(min(viewBytes, m.end-m.base))); err != nil {
			m.view = nil
			return m.readUnmapped(p)
		}
	}
	// Pages beyond the file's end fault when they are touched.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			n, err = 0, fmt.Errorf("the file ends before byte %d", m.end)
		}
	}()
	n = copy(p, m.view[m.at-m.base:])
	m.at += int64(n)
	return n, nil
}

func (m *mapped) readUnmapped(p []byte) (int, error) {
	n, err := m.file.ReadAt(p[:min(int64(len(p)), m.end-m.at)], m.at)
	m.at += int64(n)
	switch {
	case n > 0:
		return n, nil
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("the file ends before byte %d", m.end)
	}
	return 0, err
}
