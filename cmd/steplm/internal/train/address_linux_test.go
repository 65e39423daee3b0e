package train

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
)

// Too few addresses are one line that says so, not a dump, and not a GPU that is not there.
func TestAddressLimit(t *testing.T) {
	m := clitest.NewMaterial(t)
	for _, mib := range []int{700, 1200, 1700} {
		args := m.Pretrain(filepath.Join(t.TempDir(), "run"))
		_, stderr, code := clitest.Finish(t, shell(t, "ulimit -v "+strconv.Itoa(mib<<10), args), "")
		clitest.CheckFailure(t, strconv.Itoa(mib)+" MiB of addresses", stderr, code, 1, "ulimit -v",
			strconv.Itoa(mib)+" MiB", "raise that limit")
		if strings.Contains(stderr, "no GPU") {
			t.Errorf("%d MiB: %s", mib, stderr)
		}
	}
}
