package checkpoint

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// A disk with bytes to spare and no room for another file says so, and how many files would fit is no advice.
func TestNoInodes(t *testing.T) {
	parent := t.TempDir()
	mount := exec.Command("mount", "-t", "tmpfs", "-o", "size=16m,nr_inodes=5", "tmpfs", parent)
	if out, err := mount.CombinedOutput(); err != nil {
		t.Skipf("cannot mount a small disk here, as only root can: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", parent).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", parent, err, out)
		}
	})
	d, err := Begin(parent, "step-1")
	for n := 0; err == nil && n < 9; n++ {
		err = d.WriteJSON(fmt.Sprintf("%d.json", n), n)
	}
	if err == nil || !strings.Contains(err.Error(), "no room for another file") {
		t.Errorf("error %v", err)
	}
	wantEntries(t, parent)
}
