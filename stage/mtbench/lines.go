package mtbench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"steplm/internal/disk"
)

// place is where something stands: FILE, line N.
func place(path string, line int) string { return fmt.Sprintf("%s, line %d", path, line) }

// errHalf is a last line that was not written to its end.
var errHalf = errors.New("the file's last line is half-written")

// eachLine calls f with every line of a JSON Lines file that is not blank, with its number. Where the last line has no
// end and is no JSON, as when its writer was killed, the error is errHalf, after f had all before it.
func eachLine(path string, f func(line int, text []byte) error) error {
	content, err := disk.ReadFile(path)
	if err != nil {
		return err
	}
	n := 0
	for len(content) > 0 {
		n++
		text, rest, ended := bytes.Cut(content, []byte("\n"))
		if content = rest; len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if !ended && !json.Valid(text) {
			return fmt.Errorf("%s: %w", place(path, n), errHalf)
		}
		if err := f(n, text); err != nil {
			return fmt.Errorf("%s: %w", place(path, n), err)
		}
	}
	return nil
}

// Log appends lines to a file that one process at a time writes.
type Log struct {
	path string
	lock *disk.Lock
	mu   sync.Mutex
	file *os.File
}

// OpenLog opens a file to be appended to, and makes it where there is none. What a kill left of a last line is taken
// away.
func OpenLog(path string) (*Log, error) {
	lock, err := disk.TryLock(path + ".lock")
	if err != nil && !disk.Unsupported(err) {
		return nil, err
	}
	if err == nil && lock == nil {
		return nil, fmt.Errorf("%s is being written by another process: wait until it ends", path)
	}
	l := &Log{path: path, lock: lock}
	if l.file, _, err = disk.OpenLines(path); err != nil {
		l.unlock()
		return nil, err
	}
	return l, nil
}

func (l *Log) unlock() {
	l.lock.Release() // An error would only say that the process's end does it.
	l.lock.Remove()
}

// Append writes a value as one line, and returns when it is on the disk. Several goroutines may.
func (l *Log) Append(v any) error {
	text, err := pythonJSON(v)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := disk.AppendLine(l.file, append(text, '\n')); err != nil {
		return err
	}
	return disk.Synced(l.file.Sync())
}

// Replace gives the file other lines, all at once, unless it has them already.
func (l *Log) Replace(lines [][]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	content := bytes.Join(append(slices.Clone(lines), nil), []byte("\n"))
	if now, err := disk.ReadFile(l.path); err == nil && bytes.Equal(now, content) {
		return nil
	}
	if err := l.file.Close(); err != nil { // Windows renames no file over one that is open.
		return err
	}
	err := disk.WriteFile(l.path, content)
	file, _, again := disk.OpenLines(l.path)
	if again == nil {
		l.file = file
	}
	return errors.Join(err, again)
}

// Close closes the file, and lets others write it.
func (l *Log) Close() error {
	err := l.file.Close()
	l.unlock()
	return err
}
