package processes

import (
	"testing"

	"steplm/gpu"
)

// Each process of a machine has a GPU of its own: not the same one by another backend, not the integrated one beside
// others, and none of the CPUs that pose as one.
func TestEachProcessHasAGPU(t *testing.T) {
	adapters := []gpu.Adapter{
		{Index: 0, Kind: "discrete", Backend: "vulkan"}, {Index: 1, Kind: "discrete", Backend: "vulkan"},
		{Index: 2, Kind: "integrated", Backend: "vulkan"}, {Index: 3, Kind: "discrete", Backend: "dx12"},
		{Index: 4, Kind: "cpu", Backend: "vulkan"},
	}
	for _, c := range []struct {
		what     string
		adapters []gpu.Adapter
		want     []int // of the first, second and third process; -1: none of its own
	}{
		{"two and an integrated one", adapters, []int{0, 1, 0}},
		{"an integrated one alone", adapters[2:3], []int{2, 2, 2}},
		{"one of two backends", []gpu.Adapter{adapters[1], adapters[3]}, []int{1, 1, 1}},
		{"no GPU", adapters[4:], []int{-1, -1, -1}},
		{"nothing", nil, []int{-1, -1, -1}},
	} {
		for local, want := range c.want {
			got, ok := ofRank(c.adapters, local)
			if !ok {
				got = -1
			}
			if got != want {
				t.Errorf("%s: process %d has %d, want %d", c.what, local, got, want)
			}
		}
	}
}
