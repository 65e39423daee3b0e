// Package datatest finds the data that tests read but the project does not
// hold: files of other programs, and numbers that other implementations
// computed. One place says where they are, so that no test looks elsewhere and
// skips unseen. WriteShard makes shards as FineWeb-Edu has them.
//
// STEPLM_DATA=FOLDER names the folder; without it, it is ../shared/data beside
// the project's root. Where the folder is absent a test skips, saying so. A
// machine that must have the data says so with STEPLM_SHARED=require: then the
// absence fails. A file that the folder lacks fails always.
//
// What Go cannot enforce: that a test which reads such data asks Path for it.
package datatest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// The environment that Path reads.
const (
	folderVariable = "STEPLM_DATA"
	switchVariable = "STEPLM_SHARED"
	require        = "require"
)

// Path is where a file or folder of the shared data is: name has slashes, as in
// tokenizers/gpt2.
func Path(t testing.TB, name string) string {
	t.Helper()
	demand := os.Getenv(switchVariable)
	if demand != "" && demand != require {
		t.Fatalf("%s=%s: the only value is %s", switchVariable, demand, require)
	}
	folder, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) && demand == "" {
		t.Skipf("there is no shared data in %s: %s=FOLDER says where they are", folder, folderVariable)
	} else if err != nil {
		t.Fatalf("no shared data, %s=%q: %v; %s=FOLDER says where they are", switchVariable, demand, err,
			folderVariable)
	}
	path := filepath.Join(folder, filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the shared data in %s lack %s: %v", folder, name, err)
	}
	return path
}

// folder is where the shared data should be.
func folder() (string, error) {
	if named := os.Getenv(folderVariable); named != "" {
		if !filepath.IsAbs(named) { // a test runs in its package's folder, not in the caller's
			return "", fmt.Errorf("%s=%s: it must be an absolute path", folderVariable, named)
		}
		return named, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(filepath.Dir(dir), "shared", "data"), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the test's folder")
		}
		dir = parent
	}
}
