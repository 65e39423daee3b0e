package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"steplm/disk"
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
	temporary := filepath.Join(parent, hidden(latestName, saving))
	target := filepath.Join(parent, latestName)
	err := writeSynced(temporary, name+"\n")
	if err == nil {
		if err = disk.Rename(temporary, target); err != nil {
			os.Remove(temporary)
			return fmt.Errorf("pointing %s at %s: %w; %w", target, name, err, ErrNotReplaced)
		}
		err = disk.SyncDir(parent)
	}
	if err != nil {
		os.Remove(temporary)
		return fmt.Errorf("pointing %s at %s: %w", target, name, err)
	}
	return nil
}

func writeSynced(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, disk.Synced(f.Sync()), f.Close())
}

// Latest is the name of the directory that LATEST points at. Where nothing was
// saved yet the error is fs.ErrNotExist. Clean first: a kill may have come while
// the directory was being replaced.
func Latest(parent string) (string, error) {
	path := filepath.Join(parent, latestName)
	text, err := disk.ReadFile(path)
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
