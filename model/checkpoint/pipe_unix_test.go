//go:build unix

package checkpoint

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A pipe in LATEST's place is refused, not waited for.
func TestLatestIsAPipe(t *testing.T) {
	parent := t.TempDir()
	save(t, parent, "step-1", 1)
	if err := syscall.Mkfifo(filepath.Join(parent, latestName), 0o666); err != nil {
		t.Skip("no pipes here: ", err)
	}
	done := make(chan error)
	go func() {
		_, err := Latest(parent)
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "LATEST is no file") {
			t.Errorf("error %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the pipe is waited for")
	}
}
