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

// The kernels that doc.go names are those in testdata.
func TestExpandedKernel(t *testing.T) {
	for _, v := range []variant{
		{block{1, 64, 0, true}, head{8, gpu.F32}, forward, false},
		{block{2, 32, 0, false}, head{8, gpu.F32}, backwardKeyValue, true},
	} {
		k := v.kernel()
		if name := "testdata/" + k.Name + ".wgsl"; !strings.Contains(doc, name) {
			t.Errorf("doc.go does not name %s", name)
		}
		t.Run(k.Name, func(t *testing.T) { wgsltest.Golden(t, k, *update) })
	}
}
