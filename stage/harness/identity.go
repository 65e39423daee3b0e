package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
)

// Identity is a hash of the files' contents from which a task's documents are read, and its shots where there are any.
func (t *Task) Identity(folders []string, shots int) (string, error) {
	files, err := t.files(folders, t.Data.Evaluated())
	if err != nil {
		return "", err
	}
	if pool := t.Data.Pool(); shots > 0 && pool != t.Data.Evaluated() {
		more, err := t.files(folders, pool)
		if err != nil {
			return "", err
		}
		files = append(files, more...)
	}
	h := sha256.New()
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
