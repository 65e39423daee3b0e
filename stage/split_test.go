package stage

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// compositions calls yield with every vector of stages positive integers that
// sums to layers. The vector is reused.
func compositions(layers, stages int, yield func([]int)) {
	v := make([]int, stages)
	var fill func(i, left int)
	fill = func(i, left int) {
		if i == stages-1 {
			v[i] = left
			yield(v)
			return
		}
		for v[i] = 1; v[i] <= left-(stages-1-i); v[i]++ {
			fill(i+1, left-v[i])
		}
	}
	fill(0, layers)
}

// bruteSplit applies the definition, tie rules included, to every composition.
func bruteSplit(layers, stages int, stageBytes func(added, before int) int64) []int {
	var best []int
	var bestPeak int64
	compositions(layers, stages, func(v []int) {
		peak := slices.Max(splitBytes(v, stageBytes))
		if best != nil {
			if peak > bestPeak {
				return
			}
			if peak == bestPeak {
				c := slices.Compare(descending(v), descending(best))
				if c > 0 || c == 0 && slices.Compare(v, best) <= 0 {
					return
				}
			}
		}
		best, bestPeak = slices.Clone(v), peak
	})
	return best
}

func TestSplitEqualsBruteForce(t *testing.T) {
	costs := map[string]func(added, before int) int64{
		"everything ties":    func(int, int) int64 { return 7 },
		"only added counts":  func(added, _ int) int64 { return int64(added) },
		"only before counts": func(_, before int) int64 { return int64(before) },
		"coarse steps":       func(added, before int) int64 { return int64((3*added + before) / 10) },
		"not monotonic":      func(added, before int) int64 { return int64((7*added*added + 5*before) % 23) },
	}
	for _, c := range []struct{ p, e int64 }{
		{1, 0}, {8, 0}, {8, 1}, {8, 3}, {1, 1}, {1, 7}, // 2P + 16E a multiple of 16P, or near it: ties
		{12_601_344, 155_776}, {12_601_344, 2_492_416}, // 368M, rank 8 and 128
	} {
		costs[fmt.Sprintf("P=%d E=%d", c.p, c.e)] = PaperStageBytes(c.p, c.e)
	}
	for name, cost := range costs {
		t.Run(name, func(t *testing.T) {
			for stages := 1; stages <= 4; stages++ {
				for layers := stages; layers <= 30; layers++ {
					got, err := Split(layers, stages, cost)
					if err != nil {
						t.Fatal(err)
					}
					if want := bruteSplit(layers, stages, cost); !slices.Equal(got, want) {
						t.Errorf("Split(%d, %d) = %v %d, brute force %v %d", layers, stages,
							got, splitBytes(got, cost), want, splitBytes(want, cost))
					}
				}
			}
		})
	}
}

func TestSplitTies(t *testing.T) {
	free := func(int, int) int64 { return 0 }
	for _, c := range []struct {
		layers, stages int
		want           []int
	}{
		{7, 1, []int{7}},
		{4, 4, []int{1, 1, 1, 1}},
		{7, 2, []int{4, 3}},     // (3,4) sorts the same: larger first stage
		{8, 3, []int{3, 3, 2}},  // (3,2,3) has the same first stage: larger second
		{24, 3, []int{8, 8, 8}}, // even beats every other minimiser
	} {
		if got, err := Split(c.layers, c.stages, free); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("Split(%d, %d) = %v, %v, want %v", c.layers, c.stages, got, err, c.want)
		}
	}
}

// The integer optima of the paper's formula for LLaMA shapes with 24 layers and
// LoRA on all seven linears, computed by another implementation. P counts a
// layer's two norms. The second reduction of each pair adds 16 B for every
// parameter of the embedding and the untied head, 2·32000·d, to the peak and to
// vanilla alike. Neither leaving the layers' norms out nor counting the final
// norm's d changes a printed digit; both together turn 34.6 into 34.5.
func TestSplitOfPaperShapes(t *testing.T) {
	const layers, vocab = 24, 32000
	for _, c := range []struct {
		name          string
		d, f, r       int64
		split2        []int
		layers2, all2 string
		split3        []int
		layers3, all3 string
	}{
		{"368M", 1024, 2736, 8, []int{13, 11}, "45.8", "37.7", []int{9, 8, 7}, "61.1", "50.2"},
		{"368M", 1024, 2736, 64, []int{13, 11}, "42.0", "34.6", []int{10, 8, 6}, "57.3", "47.1"},
		{"368M", 1024, 2736, 128, []int{14, 10}, "39.5", "32.5", []int{11, 8, 5}, "51.9", "42.6"},
		{"680M", 1536, 4096, 128, []int{14, 10}, "41.7", "36.4", []int{10, 8, 6}, "55.7", "48.7"},
		{"1.2B", 2048, 5461, 64, []int{13, 11}, "44.7", "40.3", []int{9, 8, 7}, "58.5", "52.8"},
		{"1.2B", 2048, 5461, 128, []int{13, 11}, "42.0", "37.9", []int{10, 8, 6}, "57.3", "51.7"},
	} {
		t.Run(fmt.Sprintf("%s r=%d", c.name, c.r), func(t *testing.T) {
			p := 4*c.d*c.d + 3*c.d*c.f + 2*c.d
			e := c.r * (8*c.d + 3*(c.d+c.f))
			outer := 16 * 2 * vocab * c.d
			check := func(want []int, wantLayers, wantAll string) {
				t.Helper()
				cost := PaperStageBytes(p, e)
				split, err := Split(layers, len(want), cost)
				if err != nil || !slices.Equal(split, want) {
					t.Fatalf("split %v, %v, want %v", split, err, want)
				}
				peak, vanilla := slices.Max(splitBytes(split, cost)), PaperVanillaBytes(p, layers)
				if got := percentSaved(peak, vanilla); got != wantLayers {
					t.Errorf("%v saves %s %%, want %s %%", split, got, wantLayers)
				}
				if got := percentSaved(peak+outer, vanilla+outer); got != wantAll {
					t.Errorf("%v saves %s %% with embedding and head, want %s %%", split, got, wantAll)
				}
			}
			check(c.split2, c.layers2, c.all2)
			check(c.split3, c.layers3, c.all3)
		})
	}
}

func percentSaved(bytes, vanilla int64) string {
	return fmt.Sprintf("%.1f", 100*(1-float64(bytes)/float64(vanilla)))
}

func TestSplitErrors(t *testing.T) {
	for _, c := range []struct{ layers, stages int }{{3, 4}, {0, 1}, {-2, 1}, {5, 0}, {5, -1}, {0, 0}} {
		split, err := Split(c.layers, c.stages, PaperStageBytes(1, 0))
		want := fmt.Sprintf("%d layers into %d stages", c.layers, c.stages)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Split(%d, %d) = %v, %v, want an error with %q", c.layers, c.stages, split, err, want)
		}
	}
}

func TestSplitRefusesTooManyLayers(t *testing.T) {
	_, err := Split(maxLayers+1, 2, PaperStageBytes(1, 1))
	if err == nil || !strings.Contains(err.Error(), "10001") || !strings.Contains(err.Error(), "10000") {
		t.Errorf("error %v does not say both numbers", err)
	}
}

// splitBytes evaluates stageBytes for every stage of a split.
func splitBytes(split []int, stageBytes func(added, before int) int64) []int64 {
	bytes := make([]int64, len(split))
	before := 0
	for i, added := range split {
		bytes[i] = stageBytes(added, before)
		before += added
	}
	return bytes
}
