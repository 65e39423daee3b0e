package data

import (
	"slices"
	"testing"
)

func TestPermutationIsABijection(t *testing.T) {
	for n := range 70 {
		order := permutation(5, 0, int64(n), n)
		slices.Sort(order)
		for i, v := range order {
			if i != v {
				t.Fatalf("n=%d: sorted, position %d holds %d", n, i, v)
			}
		}
	}
}

func TestPermutationIsPureAndKeyed(t *testing.T) {
	base := permutation(1, 2, 3, 1024)
	if !slices.Equal(base, permutation(1, 2, 3, 1024)) {
		t.Error("the same key gave two orders")
	}
	for name, other := range map[string][]int{
		"seed":          permutation(2, 2, 3, 1024),
		"epoch":         permutation(1, 3, 3, 1024),
		"block":         permutation(1, 2, 4, 1024),
		"epoch<->block": permutation(1, 3, 2, 1024),
		"seed<->epoch":  permutation(2, 1, 3, 1024),
		"all zero":      permutation(0, 0, 0, 1024),
	} {
		fixed := 0
		for i := range base {
			if base[i] == other[i] {
				fixed++
			}
		}
		if fixed > 12 { // 1 is expected of independent orders
			t.Errorf("%s: %d of 1024 places agree", name, fixed)
		}
	}
	if slices.IsSorted(base) {
		t.Error("nothing was shuffled")
	}
	// A changed constant would make every saved cursor wrong.
	if got, want := permutation(42, 1, 7, 8), []int{0, 1, 2, 7, 5, 4, 6, 3}; !slices.Equal(got, want) {
		t.Errorf("permutation(42, 1, 7, 8) = %v, was %v", got, want)
	}
}

// Each window should come to each place about equally often.
func TestPermutationIsUniform(t *testing.T) {
	const n, blocks = 5, 20000
	var count [n][n]int
	for b := range int64(blocks) {
		for place, window := range permutation(9, 0, b, n) {
			count[place][window]++
		}
	}
	// Binomial with mean 4000 and deviation 57: five deviations.
	for place, row := range count {
		for window, c := range row {
			if c < 4000-285 || c > 4000+285 {
				t.Errorf("window %d came to place %d %d times of %d, want about %d", window, place, c, blocks, blocks/n)
			}
		}
	}
}
