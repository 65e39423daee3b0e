package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"steplm/internal/disk"
)

// Writer appends to a run's metrics.
type Writer struct {
	file *os.File
	kept int64 // bytes up to the last line that a resumed run keeps
}

// Append opens a run's metrics, cuts them to a length in bytes and appends from there. Metrics that are shorter, or do
// not end a line there, are cut to the whole lines that there are, and the note says so: what is lost cannot be had
// again, and the run does not need it. What is no file is an error, a link too: it leads out of the run.
func Append(dir string, size int64) (w *Writer, note string, err error) {
	path := filepath.Join(dir, File)
	before, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	isNew := err != nil
	if !isNew && !before.Mode().IsRegular() {
		return nil, "", fmt.Errorf("%s is no file (%s): put the run's metrics there, or remove it", path,
			before.Mode().Type())
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	opened, err := f.Stat()
	if err != nil {
		return nil, "", err
	}
	if !isNew && !os.SameFile(before, opened) || !opened.Mode().IsRegular() {
		return nil, "", fmt.Errorf("%s was replaced while it was opened", path)
	}
	whole, err := wholeLines(f, min(size, opened.Size()))
	if err != nil {
		return nil, "", err
	}
	if whole != size {
		note = fmt.Sprintf("%s has %d bytes, %d of them in whole lines, where the checkpoint had %d: what is missing "+
			"is lost, and the run goes on after the lines that there are", path, opened.Size(), whole, size)
	}
	if err = f.Truncate(whole); err == nil {
		_, err = f.Seek(whole, io.SeekStart)
	}
	if err == nil && isNew {
		err = disk.SyncDir(dir)
	}
	if err != nil {
		return nil, "", err
	}
	return &Writer{f, whole}, note, nil
}

// wholeLines is the length of the lines that are whole within the first n bytes of a file.
func wholeLines(f io.ReaderAt, n int64) (int64, error) {
	buffer := make([]byte, 64<<10)
	for n > 0 {
		part := buffer[:min(n, int64(len(buffer)))]
		if _, err := f.ReadAt(part, n-int64(len(part))); err != nil {
			return 0, err
		}
		if at := bytes.LastIndexByte(part, '\n'); at >= 0 {
			return n - int64(len(part)) + int64(at) + 1, nil
		}
		n -= int64(len(part))
	}
	return 0, nil
}

// Write appends an event's line, whole or not at all.
func (w *Writer) Write(e Event) error {
	line, err := Encode(e)
	if err != nil {
		return err
	}
	if err := disk.AppendLine(w.file, line); err != nil {
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
