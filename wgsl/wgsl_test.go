package wgsl

import (
	"testing"

	"steplm/gpu"
	"steplm/wgsl/wgsltest"
)

// everyKernel lists the kernels of GPUs and of CPUs, each once.
func everyKernel() []*gpu.Kernel {
	seen := map[*gpu.Kernel]bool{}
	var list []*gpu.Kernel
	for _, cpu := range []bool{false, true} {
		for _, k := range Kernels(gpu.Limits{CPU: cpu, Shared: !cpu, Invocations: 256, WorkgroupMemory: 32768,
			Budget: 1e12}) {
			if !seen[k] {
				list = append(list, k)
			}
			seen[k] = true
		}
	}
	return list
}

func TestStorageBuffersAndBindings(t *testing.T) { wgsltest.Declared(t, everyKernel()) }

func TestNoWordOfMetal(t *testing.T) { wgsltest.NoWordOfMetal(t, everyKernel()) }

func TestShaders(t *testing.T) { wgsltest.Shaders(t, library.Kernels()) }

// A tuning cache names the kernels' text by this hash: a change of it makes every device be
// tuned anew.
func TestTextHash(t *testing.T) {
	if got, want := TextHash(), "5384979b184a8e6c"; got != want {
		t.Errorf("the kernels' text has the hash %s, want %s: if a text was meant to change, write the new hash here",
			got, want)
	}
}
