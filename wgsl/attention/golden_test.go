package attention

import (
	_ "embed"
	"flag"
	"strings"
	"testing"

	"steplm/gpu"
	"steplm/wgsl/wgsltest"
)

var update = flag.Bool("update", false, "write the expanded kernel that doc.go names")

//go:embed doc.go
var doc string

// The kernel that doc.go names is the one in testdata.
func TestExpandedKernel(t *testing.T) {
	k := variant{block{1, 64, 0, true}, head{8, gpu.F32}, forward}.kernel()
	if name := "testdata/" + k.Name + ".wgsl"; !strings.Contains(doc, name) {
		t.Errorf("doc.go does not name %s", name)
	}
	wgsltest.Golden(t, k, *update)
}
