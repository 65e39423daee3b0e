package clitest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"steplm/gpu"
)

// SmallHeap is the environment of a program whose Vulkan device has so many MiB.
func SmallHeap(t *testing.T, mib int) []string {
	t.Helper()
	if len(gpu.Enumerate()) == 0 {
		t.Skip("there is no adapter")
	}
	lib := filepath.Join(t.TempDir(), "libvulkan.so.1")
	args := []string{"-shared", "-fPIC", "-o", lib, "../../../../gpu/testdata/faultvk.c", "-ldl"}
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	real := regexp.MustCompile(`/\S*/libvulkan\.so\S*`).Find(maps)
	return []string{fmt.Sprintf("FAULTVK_HEAP=%d", mib<<20), "LD_LIBRARY_PATH=" + filepath.Dir(lib), "FAULTVK_REAL=" +
		string(real)}
}
