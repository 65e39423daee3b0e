package main

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

// smallHeap is the environment of a program whose Vulkan device has so many MiB.
func smallHeap(t *testing.T, mib int) []string {
	t.Helper()
	if len(gpu.Enumerate()) == 0 {
		t.Skip("there is no adapter")
	}
	lib := filepath.Join(t.TempDir(), "libvulkan.so.1")
	args := []string{"-shared", "-fPIC", "-o", lib, "../../gpu/testdata/faultvk.c", "-ldl"}
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

// A GPU tells that it is too small by refusing a tensor: a run ends with one line that has the bytes by
// class, and leaves no folder.
func TestPretrainOnASmallHeap(t *testing.T) {
	m := newMaterial(t)
	run := newRun(t)
	c := callOf(t.Context(), m.pretrain(run, "--max-seq-len", "8192", "--seq-len", "8192", "--batch-size", "8")...)
	c.Env = append(c.Env, smallHeap(t, 96)...)
	_, stderr, code := finish(t, c, "")
	checkFailure(t, "pretrain", stderr, code, 1, "allocate ", "on the device now: ", "total ")
	if _, err := os.Stat(run); !os.IsNotExist(err) {
		t.Errorf("a run that never began left its folder: %v", err)
	}
}

// Stages that do not fit beside each other are measured one after another.
func TestBenchStepOnASmallHeap(t *testing.T) {
	args := "bench step --hidden 64 --ffn 128 --layers 2 --heads 2 --vocab 2048 --seq-len 32 --batch-size 2 --steps " +
		"1 --rank 4 --no-tune"
	for mib, want := range map[int]bool{100: false, 8000: true} {
		c := callOf(t.Context(), strings.Fields(args)...)
		c.Env = append(c.Env, smallHeap(t, mib)...)
		stdout, stderr, code := finish(t, c, "")
		if turns := !strings.Contains(stdout, "one after another"); code != 0 || turns != want {
			t.Errorf("%d MiB: exit code %d, in turns %t, want %t\n%s%s", mib, code, turns, want, stdout, stderr)
		}
	}
}
