package recipe

import (
	"fmt"
	"math"
	"slices"
)

// maxLayers bounds the search for a split.
const maxLayers = 10_000

// Split chooses how many layers each stage adds: among all ways to write
// layers as a sum of stages positive integers, one that makes the largest
// stage as small as possible. stageBytes(added, before) is the memory of a
// stage that adds layers on top of before older ones, in bytes, never
// negative; it may be any such function, so the paper's formula
// ([PaperStageBytes]) and a program's real ledger are solved alike.
//
// The answer is exact (dynamic programming, O(stages·layers²) calls).
// Of several minimisers it is the most even one: the smallest when both are
// sorted descending and compared from the front; then the one with the largest
// first stage, then second stage, and so on.
func Split(layers, stages int, stageBytes func(added, before int) int64) ([]int, error) {
	switch {
	case layers < 1 || stages < 1:
		return nil, fmt.Errorf("cannot split %d layers into %d stages: both must be at least 1", layers, stages)
	case stages > layers:
		return nil, fmt.Errorf(
			"cannot split %d layers into %d stages: every stage adds at least one layer, so use at most %d stages",
			layers, stages, layers)
	}

	// The search takes stages * layers^2 steps: a second or two at the limit.
	if layers > maxLayers {
		return nil, fmt.Errorf("cannot split %d layers: at most %d are allowed", layers, maxLayers)
	}

	// peak[before]: the smallest possible maximum over the stages that remain
	// once before layers exist; after pass k, k stages remain. Ascending order
	// reads only entries of the previous pass.
	peak := slices.Repeat([]int64{math.MaxInt64}, layers+1)
	peak[layers] = 0
	for range stages {
		for before := range peak {
			best := int64(math.MaxInt64)
			for added := 1; added <= layers-before; added++ {
				best = min(best, max(stageBytes(added, before), peak[before+added]))
			}
			peak[before] = best
		}
	}

	// tail[before]: the preferred split of the remaining layers in which no
	// stage exceeds that optimum, nil if there is none. A preferred tail stays
	// preferred whatever stands before it, because prepending the same number
	// to two splits changes neither order; a minimum of peaks would not have
	// that property, hence the two passes.
	tail := make([][]int, layers+1)
	tail[layers] = []int{}
	for range stages {
		for before := range tail {
			var best []int
			for added := layers - before; added >= 1; added-- {
				rest := tail[before+added]
				if rest == nil || stageBytes(added, before) > peak[0] {
					continue
				}
				split := append([]int{added}, rest...)
				if best == nil || moreEven(split, best) {
					best = split
				}
			}
			tail[before] = best
		}
	}
	return tail[0], nil
}

// moreEven compares two splits of the same sum, sorted descending.
func moreEven(a, b []int) bool {
	return slices.Compare(descending(a), descending(b)) < 0
}

func descending(split []int) []int {
	s := slices.Sorted(slices.Values(split))
	slices.Reverse(s)
	return s
}

// PaperStageBytes is the memory model of STEP (Yano, Ito and Suzuki, NAACL
// 2025): model states only, with 16-bit weights and gradients and a float32
// master copy, momentum and variance. A trained parameter takes 2+2+12 bytes, a frozen
// one 2. p is the number of parameters of one layer, e that of the adapters
// attached to one frozen layer; embeddings, head, final norm and activations
// are outside the model.
func PaperStageBytes(p, e int64) func(added, before int) int64 {
	return StatesBytes(16, 2, p, e, 0)
}

// PaperVanillaBytes is what the same model charges for training all layers of
// p parameters at once.
func PaperVanillaBytes(p int64, layers int) int64 {
	return 16 * int64(layers) * p
}
