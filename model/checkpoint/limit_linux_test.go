package checkpoint

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The kernel itself refuses to write on, for root too: a process under
// RLIMIT_FSIZE reports the error and leaves nothing.
func init() {
	children["limited file size"] = func(parent string) error {
		limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
		fmt.Println(saveFilled(parent, "step-5", 6, 3<<20))
		return nil
	}
}

func TestFileSizeLimit(t *testing.T) {
	parent := t.TempDir()
	save(t, parent, "step-5", 5)
	out, err := child("limited file size", parent).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := "weights.bin: file too large after 1048576 bytes of 3145728; nothing was changed, the unfinished " +
		"files were removed"
	if !strings.Contains(string(out), want) {
		t.Errorf("the child said %q, want %q", out, want)
	}
	wantEntries(t, parent, "step-5")
	if got := content(t, filepath.Join(parent, "step-5")); got != 5 {
		t.Errorf("step-5 holds %d, want 5", got)
	}
}
