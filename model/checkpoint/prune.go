package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"steplm/disk"
)

// Prune removes directories of parent, of names, oldest first, until keep of them are left, and
// never the one that LATEST names. keep 0 keeps all. What is not among names stays, whatever it
// is: a run names what it made or went on from. It returns what it removed.
//
// What the system does not let go stays, or is hidden until a later Prune or
// Clean, and the error names the first of it; all else is removed all the same. What
// stays is not replaced by the removal of a newer one.
func Prune(parent string, names []string, keep int) ([]string, error) {
	if keep < 0 {
		return nil, fmt.Errorf("keep %d checkpoints: it must be 0 (all) or more", keep)
	}
	latest, err := Latest(parent)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil, err
	}
	var removed []string
	var refused refusals
	for _, e := range entries { // What could not be removed before.
		if match := leftover.FindStringSubmatch(e.Name()); match != nil && useless(parent, match) {
			refused.add(disk.Remove(filepath.Join(parent, e.Name())))
		}
	}
	for _, name := range surplus(parent, names, keep, latest) {
		if err := removeDir(parent, name, name); err != nil {
			refused.add(err)
			continue
		}
		removed = append(removed, name)
	}
	return removed, refused.err()
}

// refusals counts errors and keeps the first.
type refusals struct {
	first error
	more  int
}

func (r *refusals) add(err error) {
	switch {
	case err == nil:
	case r.first == nil:
		r.first = err
	default:
		r.more++
	}
}

func (r *refusals) err() error {
	if r.more == 0 {
		return r.first
	}
	return fmt.Errorf("%w (and %d more)", r.first, r.more)
}

// surplus is what is to go of names, oldest first.
func surplus(parent string, names []string, keep int, latest string) (gone []string) {
	if keep == 0 {
		return nil
	}
	there := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !plain(name) || !exists(filepath.Join(parent, name, checksumsName))
	})
	for _, name := range there {
		if len(gone) < len(there)-keep && name != latest {
			gone = append(gone, name)
		}
	}
	return gone
}

// removeDir hides a directory first: a removal that is cut short leaves no half checkpoint.
// Hidden it is one of the given name.
func removeDir(parent, entry, name string) error {
	gone := filepath.Join(parent, hidden(name, removing))
	if err := disk.Rename(filepath.Join(parent, entry), gone); err != nil {
		return err
	}
	return disk.Remove(gone)
}

var leftover = regexp.MustCompile(`^\.(.+)\.(displaced|(?:saving|removing)-[0-9a-f]{8})$`)

// IsLeftover tells the names that killed saves and removals leave behind.
func IsLeftover(name string) bool { return leftover.MatchString(name) }

// useless reports whether a leftover holds nothing that is needed: a directory that stepped aside is the
// good one until another has its name.
func useless(parent string, match []string) bool {
	return match[2] != displaced || exists(filepath.Join(parent, match[1]))
}

// Clean removes what killed saves and removals left behind, and gives a
// directory back its name when the kill came while it was being replaced.
// Nobody else may be writing in parent. A parent that does not exist is clean.
// It returns the entries that it found. What the system does not let go is left
// to the next Prune, whose error says so.
func Clean(parent string) ([]string, error) {
	entries, err := os.ReadDir(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []string
	for _, e := range entries {
		match := leftover.FindStringSubmatch(e.Name())
		if match == nil {
			continue
		}
		path := filepath.Join(parent, e.Name())
		if useless(parent, match) {
			disk.Remove(path)
		} else if err := disk.Rename(path, filepath.Join(parent, match[1])); err != nil {
			return found, err
		}
		found = append(found, e.Name())
	}
	return found, nil
}
