package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"steplm/internal/disk"
)

// Verify compares the files that are named, or where none is, every file that checksums.json lists,
// with its size and its SHA-256, sizes first. The error names the first file that differs and both
// values. Where none is named, a file that is not listed is an error too: nothing would tell what
// happened to it. Hidden files and Markdown, which are for people, may be there and change.
func Verify(dir string, files ...string) error {
	sums, err := readSums(dir)
	if err != nil {
		return err
	}
	names := slices.DeleteFunc(sortedKeys(sums), forPeople)
	if len(files) > 0 {
		names = files
	}
	for _, name := range names {
		if _, ok := sums[name]; !ok {
			return fmt.Errorf("%s: %s does not list %s: %s: %w", dir, checksumsName, name, remedy, fs.ErrNotExist)
		}
		if !plain(name) {
			return fmt.Errorf("%s: %s is damaged: %q is not a plain file name", dir, checksumsName, name)
		}
		if err := verifySize(dir, name, sums[name]); err != nil {
			return err
		}
	}
	if len(files) == 0 {
		if err := allListed(dir, sums); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := verifyHash(dir, name, sums[name]); err != nil {
			return err
		}
	}
	return nil
}

// forPeople tells files that no program reads.
func forPeople(name string) bool { return plain(name) && strings.EqualFold(filepath.Ext(name), ".md") }

// allListed finds files that checksums.json does not know.
func allListed(dir string, sums map[string]sum) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, listed := sums[e.Name()]; !listed && !e.IsDir() && e.Name() != checksumsName && plain(e.Name()) &&
			!forPeople(e.Name()) {
			return fmt.Errorf("%s: %s does not list %s, which was put there after the save: remove one of the two", dir,
				checksumsName, e.Name())
		}
	}
	return nil
}

// VerifyIfListed is Verify of a directory that has a checksums.json, as one that was written here;
// without one it says nothing.
func VerifyIfListed(dir string) error {
	if !exists(filepath.Join(dir, checksumsName)) {
		return nil
	}
	if err := Verify(dir); err != nil {
		return fmt.Errorf("%w; who changed it on purpose removes %s", err, checksumsName)
	}
	return nil
}

// Lists reports whether a finished checkpoint is said to have a file.
func Lists(dir, file string) bool {
	sums, err := readSums(dir)
	_, ok := sums[file]
	return err == nil && ok
}

func readSums(dir string) (map[string]sum, error) {
	text, err := os.ReadFile(filepath.Join(dir, checksumsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not a finished checkpoint: %s is missing: %w", dir, checksumsName, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	var sums map[string]sum
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&sums); err != nil {
		return nil, fmt.Errorf("%s: %s is damaged: %w", dir, checksumsName, err)
	}
	return sums, nil
}

const remedy = "use another checkpoint"

func verifySize(dir, name string, want sum) error {
	stat, err := os.Stat(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %s is missing, %s lists it with %d bytes, SHA-256 %s: %s: %w", dir, name, checksumsName,
			want.Size, want.SHA256, remedy, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	if stat.Size() != want.Size {
		return fmt.Errorf("%s: %s has %d bytes, %s says %d: %s", dir, name, stat.Size(), checksumsName, want.Size,
			remedy)
	}
	return nil
}

func verifyHash(dir, name string, want sum) error {
	got, err := disk.Hash(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	if got != want.SHA256 {
		return fmt.Errorf("%s: %s was changed after it was saved: SHA-256 %s, %s says %s: %s", dir, name, got,
			checksumsName, want.SHA256, remedy)
	}
	return nil
}
