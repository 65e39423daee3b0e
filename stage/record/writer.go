package record

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"steplm/disk"
)

// Writer appends to a run's metrics.
type Writer struct {
	file *os.File
	kept int64 // bytes up to the last line that a resumed run keeps
}

// Append opens a run's metrics, cuts them to a length in bytes and appends from there.
func Append(dir string, size int64) (*Writer, error) {
	f, err := os.OpenFile(filepath.Join(dir, File), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if err = f.Truncate(size); err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Writer{f, size}, nil
}

// Write appends an event's line.
func (w *Writer) Write(e Event) error {
	line, err := Encode(e)
	if err != nil {
		return err
	}
	if _, err := w.file.Write(line); err != nil {
		return fmt.Errorf("write %s: %w", w.file.Name(), err)
	}
	return nil
}

// Keep has a run that resumes from the next checkpoint keep the lines that there are.
func (w *Writer) Keep() (err error) {
	w.kept, err = w.file.Seek(0, io.SeekCurrent)
	return err
}

// Kept is the length up to the last line that Keep was called after, which is safely on disk: where
// a resumed run goes on. The events after it follow from those and will be there again.
func (w *Writer) Kept() (int64, error) { return w.kept, disk.Synced(w.file.Sync()) }

// Close ends the writing.
func (w *Writer) Close() error { return w.file.Close() }
