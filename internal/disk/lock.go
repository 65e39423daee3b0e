package disk

import (
	"os"

	"github.com/gofrs/flock"
)

// Lock is a file that one process at a time holds.
type Lock struct{ file *flock.Flock }

// TryLock takes hold of a lock file, which is made where it is missing. It is nil where another process holds it. Where
// the file system has no locks, or refuses them to everybody, the error is Unsupported.
func TryLock(path string) (*Lock, error) {
	if err := refused("lock", path); err != nil {
		return nil, err
	}
	l := &Lock{flock.New(path)}
	ok, err := l.file.TryLock()
	if err != nil || !ok {
		return nil, err
	}
	return l, nil
}

// Release lets go of the lock; nil holds nothing.
func (l *Lock) Release() error {
	if l == nil {
		return nil
	}
	return l.file.Unlock()
}

// Remove removes the file after Release, if nobody else has it.
func (l *Lock) Remove() {
	if l != nil {
		os.Remove(l.file.Path())
	}
}
