package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"steplm/disk"
)

// Prune removes the directories named prefix + decimal number with the
// smallest numbers until keep are left, and never the one that LATEST names.
// keep 0 keeps all. It returns what it removed.
//
// What the system does not let go stays, or is hidden until a later Prune or
// Clean, and the error names the first of it; all else is removed all the same. What
// stays is not replaced by the removal of a newer one.
func Prune(parent, prefix string, keep int) ([]string, error) {
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
	for _, name := range surplus(entries, prefix, keep, latest) {
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

// surplus is what is to go of numbered directories, oldest first.
func surplus(entries []fs.DirEntry, prefix string, keep int, latest string) (names []string) {
	type numbered struct {
		name   string
		number *big.Int
	}
	var found []numbered
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || !e.IsDir() || strings.Trim(digits, "0123456789") != "" {
			continue
		}
		if number, ok := new(big.Int).SetString(digits, 10); ok {
			found = append(found, numbered{e.Name(), number})
		}
	}
	if keep == 0 {
		return nil
	}
	slices.SortFunc(found, func(a, b numbered) int { return a.number.Cmp(b.number) })
	for _, f := range found {
		if len(names) < len(found)-keep && f.name != latest {
			names = append(names, f.name)
		}
	}
	return names
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
