package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Verify compares every file that checksums.json lists with its size and its
// SHA-256, sizes first. The error names the first file that differs and both
// values. Files that are not listed are none of its business.
func Verify(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, checksumsName))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not a finished checkpoint: %s is missing: %w", dir, checksumsName, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	var sums map[string]sum
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&sums); err != nil {
		return fmt.Errorf("%s: %s is damaged: %w", dir, checksumsName, err)
	}
	names := sortedKeys(sums)
	for _, name := range names {
		if !plain(name) {
			return fmt.Errorf("%s: %s is damaged: %q is not a plain file name", dir, checksumsName, name)
		}
		if err := verifySize(dir, name, sums[name]); err != nil {
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
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, f, make([]byte, pieceBytes)); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%s: %s was changed after it was saved: SHA-256 %s, %s says %s: %s", dir, name, got,
			checksumsName, want.SHA256, remedy)
	}
	return nil
}
