package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// latestName is the pointer: one line with the name of a sibling directory.
const latestName = "LATEST"

// SetLatest points LATEST at parent/name, which must be committed. The file is
// replaced by a rename: a reader sees the old name or the new one.
func SetLatest(parent, name string) error {
	if !plain(name) || !exists(filepath.Join(parent, name, checksumsName)) {
		return fmt.Errorf("%s cannot point at %q: there is no such finished checkpoint in %s", latestName, name, parent)
	}
	path := filepath.Join(parent, latestName)
	if err := WriteFile(path, []byte(name+"\n")); err != nil {
		return fmt.Errorf("pointing %s at %s: %w; what it pointed at before is still whole", path, name, err)
	}
	return nil
}

// Latest is the name of the directory that LATEST points at. Where nothing was
// saved yet the error is fs.ErrNotExist. Clean first: a kill may have come while
// the directory was being replaced.
func Latest(parent string) (string, error) {
	path := filepath.Join(parent, latestName)
	text, err := readSmall(path)
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(text)
	if !plain(name) {
		return "",
			fmt.Errorf("%s is damaged: %.40q is not the name of a checkpoint; write the name of one of its "+
				"neighbours into it", path, name)
	}
	if !exists(filepath.Join(parent, name)) {
		// Not ErrNotExist: a run that lost its checkpoint is not a new run.
		return "", fmt.Errorf("%s names %s, which is gone; write the name of one of its neighbours into it", path, name)
	}
	return name, nil
}

// Newest is the last of names, oldest first, that is a whole checkpoint in parent, and what is
// wrong with those after it. Where none is whole it is an error of the last; of no names,
// fs.ErrNotExist.
func Newest(parent string, names []string) (name string, damaged []error, err error) {
	for _, name := range slices.Backward(names) {
		err := Verify(filepath.Join(parent, name))
		if err == nil {
			return name, damaged, nil
		}
		damaged = append(damaged, err)
	}
	if len(damaged) > 0 {
		// Not ErrNotExist: a run that lost its checkpoints is not a new run.
		return "", damaged, fmt.Errorf("none of the %d checkpoints in %s is whole: %v", len(names), parent, damaged[0])
	}
	return "", nil, fs.ErrNotExist
}

// Prune removes directories of parent, of names, oldest first, until keep of them are left, and
// never the one that LATEST names. keep 0 keeps all. What is not among names stays, whatever it
// is: a run names what it made or went on from. It returns what it removed.
func Prune(parent string, names []string, keep int) ([]string, error) {
	if keep < 0 {
		return nil, fmt.Errorf("keep %d checkpoints: it must be 0 (all) or more", keep)
	}
	latest, err := Latest(parent)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	there := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !plain(name) || !exists(filepath.Join(parent, name, checksumsName))
	})
	if keep == 0 || len(there) <= keep {
		return nil, nil
	}
	surplus := len(there) - keep
	var removed []string
	for _, name := range there {
		if surplus == len(removed) {
			break
		}
		if name == latest {
			continue
		}
		if err := removeDir(parent, name); err != nil {
			return removed, err
		}
		removed = append(removed, name)
	}
	return removed, nil
}

// removeDir hides first: a removal that is cut short leaves no half checkpoint.
func removeDir(parent, name string) error {
	gone := filepath.Join(parent, hidden(name, removing))
	if err := os.Rename(filepath.Join(parent, name), gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

var leftover = regexp.MustCompile(`^\.(.+)\.(displaced|(?:saving|removing)-[0-9a-f]{8})$`)

// IsLeftover tells the names that killed saves and removals leave behind.
func IsLeftover(name string) bool { return leftover.MatchString(name) }

// Clean removes what killed saves and removals left behind, and gives a
// directory back its name when the kill came while it was being replaced.
// Nobody else may be writing in parent. A parent that does not exist is clean.
// It returns the entries that it found.
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
		path, target := filepath.Join(parent, e.Name()), filepath.Join(parent, match[1])
		if match[2] == displaced && !exists(target) {
			err = os.Rename(path, target)
		} else {
			err = os.RemoveAll(path)
		}
		if err != nil {
			return found, err
		}
		found = append(found, e.Name())
	}
	return found, nil
}
