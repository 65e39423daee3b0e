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
)

// latestName is the pointer: one line with the name of a sibling directory.
const latestName = "LATEST"

// SetLatest points LATEST at parent/name, which must be committed. The file is
// replaced by a rename: a reader sees the old name or the new one.
func SetLatest(parent, name string) error {
	if !plain(name) || !exists(filepath.Join(parent, name, checksumsName)) {
		return fmt.Errorf("%s cannot point at %q: there is no such finished checkpoint in %s", latestName, name, parent)
	}
	temporary := filepath.Join(parent, hidden(latestName, saving))
	err := writeSynced(temporary, name+"\n")
	if err == nil {
		err = os.Rename(temporary, filepath.Join(parent, latestName))
	}
	if err == nil {
		err = syncDir(parent)
	}
	if err != nil {
		os.Remove(temporary)
		return fmt.Errorf("pointing %s at %s: %w; what it pointed at before is still whole",
			filepath.Join(parent, latestName), name, err)
	}
	return nil
}

func writeSynced(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// Latest is the name of the directory that LATEST points at. Where nothing was
// saved yet the error is fs.ErrNotExist. Clean first: a kill may have come while
// the directory was being replaced.
func Latest(parent string) (string, error) {
	path := filepath.Join(parent, latestName)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(text))
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

// Prune removes the directories named prefix + decimal number with the
// smallest numbers until keep are left, and never the one that LATEST names.
// keep 0 keeps all. It returns what it removed.
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
	if keep == 0 || len(found) <= keep {
		return nil, nil
	}
	slices.SortFunc(found, func(a, b numbered) int { return a.number.Cmp(b.number) })
	surplus := len(found) - keep
	var removed []string
	for _, f := range found {
		if surplus == len(removed) {
			break
		}
		if f.name == latest {
			continue
		}
		if err := removeDir(parent, f.name); err != nil {
			return removed, err
		}
		removed = append(removed, f.name)
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
