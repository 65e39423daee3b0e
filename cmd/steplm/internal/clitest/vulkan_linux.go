package clitest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"steplm/gpu"
)

// SmallHeap is the environment of a program whose Vulkan device has so many MiB.
func SmallHeap(t *testing.T, mib int) []string {
	t.Helper()
	return append(FaultyVulkan(t), fmt.Sprintf("FAULTVK_HEAP=%d", mib<<20))
}

// FaultyVulkan is the environment of a program that goes to its Vulkan drivers through gpu/testdata/faultvk.c.
func FaultyVulkan(t *testing.T) []string {
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
	return []string{"LD_LIBRARY_PATH=" + filepath.Dir(lib), "FAULTVK_REAL=" + string(real)}
}

// TwoDrivers is the environment of a program that has lavapipe twice, as its devices 0 and 1.
func TwoDrivers(t *testing.T) []string {
	t.Helper()
	var manifests []string
	for _, pattern := range []string{os.Getenv("VK_DRIVER_FILES"), os.Getenv("VK_ICD_FILENAMES"),
		"/usr/share/vulkan/icd.d/*lvp*.json", "/usr/local/share/vulkan/icd.d/*lvp*.json"} {
		found, _ := filepath.Glob(pattern) // These are patterns, or paths.
		manifests = append(manifests, found...)
	}
	if len(manifests) == 0 {
		t.Skip("lavapipe's manifest is not where Linux distributions put it")
	}
	text, err := os.ReadFile(manifests[0])
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for range 2 {
		file := filepath.Join(t.TempDir(), "driver.json")
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	list := strings.Join(files, ":")
	return []string{"VK_DRIVER_FILES=" + list, "VK_ICD_FILENAMES=" + list}
}
