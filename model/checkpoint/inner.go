package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"steplm/internal/disk"
)

// Within starts a directory inside this one, with a list of sums of its own. It is committed before this one, and
// appears with it.
func (d *Dir) Within(name string) (*Dir, error) {
	if d.err != nil {
		return nil, d.err
	}
	if !plain(name) || exists(filepath.Join(d.temporary, name)) {
		return nil, d.fail(nil, fmt.Errorf("directory name %q is taken or not a plain name", name))
	}
	inner, err := Begin(d.temporary, name)
	if err != nil {
		return nil, d.fail(nil, err)
	}
	d.inner = append(d.inner, inner)
	return inner, nil
}

// CommitFile gives the only file of the directory the directory's name, which nothing may have: a file that appears
// whole or not at all.
func (d *Dir) CommitFile() error {
	if d.err != nil {
		return d.err
	}
	for f := range d.open {
		return d.fail(f, errors.New("committed before it was closed"))
	}
	if len(d.sums) != 1 || len(d.inner) > 0 {
		return d.fail(nil, fmt.Errorf("%d files and %d directories cannot become one file", len(d.sums), len(d.inner)))
	}
	if _, err := os.Lstat(d.target); !disk.Missing(err) {
		return d.fail(nil, fmt.Errorf("%s appeared while it was written: %v", d.target, err))
	}
	for name := range d.sums {
		if err := disk.Rename(filepath.Join(d.temporary, name), d.target); err != nil {
			return d.fail(nil, err)
		}
	}
	d.err = errors.New("checkpoint: already committed")
	if err := syncDir(filepath.Dir(d.target)); err != nil {
		return fmt.Errorf("%s is saved, but the disk did not confirm its name: %w", d.target, err)
	}
	return disk.Remove(d.temporary)
}

// Files lists what was written and closed so far, by name; directories within follow.
func (d *Dir) Files() []Written {
	var list []Written
	for _, name := range sortedKeys(d.sums) {
		list = append(list, Written{name, d.sums[name].Size, d.sums[name].SHA256})
	}
	for _, inner := range d.inner {
		for _, f := range inner.Files() {
			f.Name = filepath.Base(inner.target) + "/" + f.Name
			list = append(list, f)
		}
	}
	return list
}

// Target is the name that the directory gets.
func (d *Dir) Target() string { return d.target }
