package bench

import (
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
)

// Stages that do not fit beside each other are measured one after another.
func TestBenchStepOnASmallHeap(t *testing.T) {
	args := "bench step --hidden 64 --ffn 128 --layers 2 --heads 2 --vocab 2048 --seq-len 32 --batch-size 2 --steps " +
		"1 --rank 4 --no-tune"
	for mib, want := range map[int]bool{120: false, 8000: true} {
		c := clitest.CallOf(t.Context(), strings.Fields(args)...)
		c.Env = append(c.Env, clitest.SmallHeap(t, mib)...)
		stdout, stderr, code := clitest.Finish(t, c, "")
		if turns := !strings.Contains(stdout, "one after another"); code != 0 || turns != want {
			t.Errorf("%d MiB: exit code %d, in turns %t, want %t\n%s%s", mib, code, turns, want, stdout, stderr)
		}
	}
}
