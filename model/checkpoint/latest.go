package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// latestName is the pointer: one line with the name of a sibling directory.
const latestName = "LATEST"

// ErrNotReplaced is that LATEST stayed as it was, because the system refused its
// replacement, as Windows does while another program has it open. A later save may
// have more luck; what it points at is whole.
var ErrNotReplaced = errors.New("what it pointed at before is still whole")

// SetLatest points LATEST at parent/name, which must be committed. The file is
// replaced by a rename: a reader sees the old name or the new one. Where that is
// refused the error is ErrNotReplaced.
func SetLatest(parent, name string) error {
	if !plain(name) || !exists(filepath.Join(parent, name, checksumsName)) {
		return fmt.Errorf("%s cannot point at %q: there is no such finished checkpoint in %s", latestName, name, parent)
	}
	path := filepath.Join(parent, latestName)
	if err := WriteFile(path, []byte(name+"\n")); errors.As(err, new(notRenamed)) {
		return fmt.Errorf("pointing %s at %s: %w; %w", path, name, err, ErrNotReplaced)
	} else if err != nil {
		return fmt.Errorf("pointing %s at %s: %w", path, name, err)
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
