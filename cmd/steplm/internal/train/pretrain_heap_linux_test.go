package train

import (
	"os"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
)

// A GPU tells that it is too small by refusing a tensor: a run ends with one line that has the bytes by
// class, and leaves no folder.
func TestPretrainOnASmallHeap(t *testing.T) {
	m := clitest.NewMaterial(t)
	run := clitest.NewRun(t)
	c := clitest.CallOf(t.Context(), m.Pretrain(run, "--max-seq-len", "8192", "--seq-len", "8192", "--batch-size",
		"8")...)
	c.Env = append(c.Env, clitest.SmallHeap(t, 96)...)
	_, stderr, code := clitest.Finish(t, c, "")
	clitest.CheckFailure(t, "pretrain", stderr, code, 1, "allocate ", "on the device now: ", "total ")
	if _, err := os.Stat(run); !os.IsNotExist(err) {
		t.Errorf("a run that never began left its folder: %v", err)
	}
}
