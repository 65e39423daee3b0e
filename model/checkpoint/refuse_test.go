package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"steplm/disk"
)

// refuse has the system refuse operations ("rename", "remove") on paths that hold a word, as it does
// where another program has a file open, until the test allows them.
func refuse(t *testing.T, operation, word string) (allow func()) {
	disk.Refuse(func(o, path string) error {
		if o == operation && strings.Contains(path, word) {
			return syscall.EPERM
		}
		return nil
	})
	t.Cleanup(func() { disk.Refuse(nil) })
	return func() { disk.Refuse(nil) }
}

// names lists a folder, random digits left out.
func names(t *testing.T, parent string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if match := leftover.FindStringSubmatch(name); match != nil {
			name = "." + match[1] + "." + strings.TrimRight(match[2], "0123456789abcdef")
		}
		names = append(names, name)
	}
	return names
}

func steps(t *testing.T, numbers ...int) (parent string) {
	parent = t.TempDir()
	for _, n := range numbers {
		save(t, parent, fmt.Sprintf("step-%d", n), byte(n))
	}
	if err := SetLatest(parent, fmt.Sprintf("step-%d", numbers[len(numbers)-1])); err != nil {
		t.Fatal(err)
	}
	return parent
}

// four are the names of the checkpoints that tests begin with.
var four = []string{"step-1", "step-2", "step-3", "step-4"}

// A file that cannot be removed is hidden, is no reason to keep or to remove anything else, and goes
// with a later Prune.
func TestPruneWhereRemovalIsRefused(t *testing.T) {
	parent := steps(t, 1, 2, 3, 4)
	allow := refuse(t, "remove", "step-1")
	removed, err := Prune(parent, four, 2)
	if !slices.Equal(removed, []string{"step-2"}) || !errors.Is(err, syscall.EPERM) ||
		!strings.Contains(err.Error(), ".step-1.removing-") {
		t.Errorf("removed %v: %v", removed, err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{".step-1.removing-", "LATEST", "step-3", "step-4"}) {
		t.Errorf("left: %v", got)
	}
	if removed, err := Prune(parent, four, 2); len(removed) > 0 || !errors.Is(err, syscall.EPERM) {
		t.Errorf("again, removed %v: %v", removed, err)
	}
	allow()
	if removed, err := Prune(parent, four, 2); len(removed) > 0 || err != nil {
		t.Errorf("at last, removed %v: %v", removed, err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"LATEST", "step-3", "step-4"}) {
		t.Errorf("left: %v", got)
	}
}

// A directory that cannot be renamed, as on Windows where a file of it is open, stays a checkpoint.
func TestPruneWhereRenamingIsRefused(t *testing.T) {
	parent := steps(t, 1, 2, 3, 4)
	allow := refuse(t, "rename", ".step-1.removing-")
	removed, err := Prune(parent, four, 2)
	if !slices.Equal(removed, []string{"step-2"}) || !errors.Is(err, syscall.EPERM) {
		t.Errorf("removed %v: %v", removed, err)
	}
	if err := Verify(filepath.Join(parent, "step-1")); err != nil {
		t.Error(err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"LATEST", "step-1", "step-3", "step-4"}) {
		t.Errorf("left: %v", got)
	}
	allow()
	if removed, err := Prune(parent, four, 2); !slices.Equal(removed, []string{"step-1"}) || err != nil {
		t.Errorf("at last, removed %v: %v", removed, err)
	}
}

// A resume begins where what was left behind cannot be removed yet.
func TestCleanWhereRemovalIsRefused(t *testing.T) {
	parent := steps(t, 1)
	if err := os.Rename(save(t, parent, "step-2", 2), filepath.Join(parent, ".step-2.saving-01234567")); err != nil {
		t.Fatal(err)
	}
	allow := refuse(t, "remove", "")
	if found, err := Clean(parent); len(found) != 1 || err != nil {
		t.Errorf("found %v: %v", found, err)
	}
	allow()
	if _, err := Prune(parent, four, 0); err != nil {
		t.Error(err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"LATEST", "step-1"}) {
		t.Errorf("left: %v", got)
	}
}

// A directory is replaced, again and again, though what it replaces cannot be removed.
func TestCommitWhereRemovalIsRefused(t *testing.T) {
	parent := t.TempDir()
	save(t, parent, "final", 1)
	allow := refuse(t, "remove", ".final.")
	for fill := range byte(3) {
		dir := save(t, parent, "final", fill+2)
		if b, err := os.ReadFile(filepath.Join(dir, "weights.bin")); err != nil || b[0] != fill+2 {
			t.Errorf("%v: %v", b[:1], err)
		}
		if err := Verify(dir); err != nil {
			t.Error(err)
		}
	}
	allow()
	if _, err := Clean(parent); err != nil {
		t.Error(err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"final"}) {
		t.Errorf("left: %v", got)
	}
}

// LATEST keeps its old content where it cannot be replaced, and nothing is left beside it.
func TestSetLatestWhereRenamingIsRefused(t *testing.T) {
	parent := steps(t, 1)
	save(t, parent, "step-2", 2)
	refuse(t, "rename", "LATEST")
	if err := SetLatest(parent, "step-2"); !errors.Is(err, syscall.EPERM) || !errors.Is(err, ErrNotReplaced) {
		t.Error(err)
	}
	if name, err := Latest(parent); name != "step-1" || err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"LATEST", "step-1", "step-2"}) {
		t.Errorf("left: %v", got)
	}
}
