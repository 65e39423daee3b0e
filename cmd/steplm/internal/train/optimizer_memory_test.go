package train

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/gpu"
	"steplm/gpu/memory"
	"steplm/model/optim"
)

// A run by any optimizer under a limit keeps to it: what it was planned to take is what its ledger had at most, and one
// byte less is refused or arranged otherwise, with less.
func TestEveryOptimizerKeepsALimit(t *testing.T) {
	m := clitest.NewMaterial(t)
	// A plan for a limit counts what a program has on a GPU, also on the host, which lacks it.
	besides := memory.ProcessOverhead + gpu.Plan(gpu.OwnSpecs()).Total() - gpu.Plan(gpu.NewHost().Own()).Total()
	for _, name := range optim.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peak := func(limit int64) int64 {
				t.Helper()
				run := clitest.NewRun(t)
				_, stderr, code := clitest.Call(t, "", m.Pretrain(run, "--method", "vanilla", "--optimizer", name,
					"--steps", "1", "--batch-size", "4", "--grad-accum", "2", "--device", "host", "--eval-tokens", "0",
					"--final-eval-tokens", "0", "--save-every", "0", "--memory-limit", fmt.Sprint(limit), "--json")...)
				if code != 0 {
					if !strings.Contains(stderr, "does not fit") {
						t.Errorf("%d bytes: %s", limit, stderr)
					}
					return 0
				}
				most := int64(0)
				for _, l := range clitest.ReadMetrics(t, run) {
					n, err := strconv.ParseInt(l.Text("peak_bytes"), 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					most = max(most, n)
				}
				return most + besides
			}
			took := peak(1 << 40)
			if again := peak(took); again != took {
				t.Errorf("within the %d bytes that it took it takes %d", took, again)
			}
			if less := peak(took - 1); less >= took || less == 0 {
				t.Errorf("within a byte less than %d it takes %d", took, less)
			}
			if none := peak(besides + 4096); none != 0 {
				t.Errorf("within 4096 bytes it takes %d", none)
			}
		})
	}
}
