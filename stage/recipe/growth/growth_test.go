package growth_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/data/datatest"
	. "steplm/stage/recipe/growth"
	"steplm/stage/recipe/recipetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// table writes a growth the way one would on paper.
func table(g Growth) string {
	var b strings.Builder
	for i, o := range g.Origins {
		switch {
		case !o.New:
			fmt.Fprintf(&b, "%3d  old %d\n", i, o.Below)
		case o.Drawn:
			fmt.Fprintf(&b, "%3d  drawn\n", i)
		case o.Silent:
			fmt.Fprintf(&b, "%3d  new = %d, silent\n", i, o.Below)
		case o.Weight == 0:
			fmt.Fprintf(&b, "%3d  new = %d\n", i, o.Below)
		default:
			fmt.Fprintf(&b, "%3d  new = %.4f * %d + %.4f * %d\n", i, 1-o.Weight, o.Below, o.Weight, o.Above)
		}
	}
	if g.Note != "" {
		fmt.Fprintln(&b, g.Note)
	}
	return b.String()
}

func TestPlanGrowthGolden(t *testing.T) {
	const seed = 1
	for _, path := range [][]int{{13, 24}, {9, 17, 24}, {4, 8}, {1, 3}} {
		name := strings.Trim(strings.ReplaceAll(fmt.Sprint(path), " ", "_"), "[]")
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			for _, operator := range Operators() {
				for _, position := range Positions() {
					for i, after := range path[1:] {
						fmt.Fprintf(&b, "%d -> %d, %s, %s, seed %d\n", path[i], after, operator, position, seed)
						b.WriteString(table(recipetest.Grow(t, path[i], after, position, operator, seed)))
						b.WriteByte('\n')
					}
				}
			}
			file := filepath.Join("testdata", "growth_"+name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("%s (-want +got; -update rewrites it):\n%s", file, diff)
			}
		})
	}
}

// The tables of the golden files that are small enough to work out by hand.
func TestPlanGrowthByHand(t *testing.T) {
	old := func(i int) Origin { return Origin{Below: i, Above: i} }
	mix := func(i int, w float64) Origin { return Origin{New: true, Below: i, Above: i + 1, Weight: w} }
	twin := func(i int) Origin { return Origin{New: true, Below: i, Above: i} }
	const half, third = 1.0 / 2, 1.0 / 3
	for _, c := range []struct {
		position, operator string
		before, after      int
		want               []Origin
	}{
		{"upper", "mean", 4, 8, []Origin{old(0), mix(0, half), old(1), mix(1, half), old(2), mix(2, third),
			mix(2, 2*third), old(3)}},
		{"lower", "mean", 4, 8, []Origin{old(0), mix(0, third), mix(0, 2*third), old(1), mix(1, half), old(2),
			mix(2, half), old(3)}},
		{"intermediate", "mean", 4, 8, []Origin{old(0), mix(0, half), old(1), mix(1, third), mix(1, 2*third), old(2),
			mix(2, half), old(3)}},
		{"upper", "copy", 4, 8, []Origin{old(0), twin(0), old(1), twin(1), old(2), twin(2), twin(2), old(3)}},
		{"upper", "mean", 4, 5, []Origin{old(0), old(1), old(2), mix(2, half), old(3)}},
		{"lower", "mean", 4, 5, []Origin{old(0), mix(0, half), old(1), old(2), old(3)}},
		{"intermediate", "mean", 4, 5, []Origin{old(0), old(1), mix(1, half), old(2), old(3)}},
		{"random", "mean", 2, 5, []Origin{old(0), mix(0, 0.25), mix(0, 0.5), mix(0, 0.75), old(1)}},
		{"upper", "copy_upper", 3, 6, []Origin{old(0), twin(1), old(1), twin(2), twin(2), old(2)}},
		{"lower", "stack", 3, 8, []Origin{old(0), old(1), old(2), twin(0), twin(1), twin(2), twin(0), twin(1)}},
		{"upper", "zero", 2, 3, []Origin{old(0), {New: true, Silent: true}, old(1)}},
		{"upper", "random", 2, 3, []Origin{old(0), {New: true, Drawn: true}, old(1)}},
		{"upper", "random", 1, 2, []Origin{old(0), {New: true, Drawn: true}}},
		{"upper", "stack", 1, 3, []Origin{old(0), twin(0), twin(0)}},
		{"upper", "mean", 1, 3, []Origin{old(0), twin(0), twin(0)}},
		{"random", "copy", 1, 2, []Origin{old(0), twin(0)}},
	} {
		g := recipetest.Grow(t, c.before, c.after, c.position, c.operator, 1)
		if diff := cmp.Diff(c.want, g.Origins); diff != "" {
			t.Errorf("%d -> %d, %s, %s (-want +got):\n%s", c.before, c.after, c.operator, c.position, diff)
		}
	}
}

// Adding one block after another shows the order of the gaps.
func TestPlanGrowthOrder(t *testing.T) {
	for _, c := range []struct {
		position string
		before   int
		want     []int // gaps in the order of filling, second round included
	}{
		{"upper", 5, []int{3, 2, 1, 0, 3, 2, 1, 0}},
		{"lower", 5, []int{0, 1, 2, 3, 0, 1, 2, 3}},
		{"intermediate", 5, []int{2, 1, 3, 0, 2, 1, 3, 0}},
		{"intermediate", 6, []int{2, 3, 1, 4, 0, 2, 3, 1, 4, 0}},
		// Worked out with another implementation of splitmix64.
		{"random", 6, []int{1, 2, 3, 0, 4, 1, 2, 3, 0, 4}},
	} {
		if got := fillOrder(t, c.before, len(c.want), c.position, 1); !slices.Equal(got, c.want) {
			t.Errorf("%s, %d layers: gaps %v, want %v", c.position, c.before, got, c.want)
		}
	}
}

// fillOrder finds the gap that each further block goes to.
func fillOrder(t *testing.T, before, added int, position string, seed uint64) []int {
	t.Helper()
	var order []int
	last := make([]int, before-1)
	for n := 1; n <= added; n++ {
		counts := gapCounts(t, before, recipetest.Grow(t, before, before+n, position, "mean", seed))
		for gap := range counts {
			if counts[gap] != last[gap] {
				order = append(order, gap)
			}
		}
		last = counts
	}
	return order
}

// gapCounts counts the new blocks in each gap, and checks that old blocks keep
// their order and that new ones come from the gap in which they stand.
func gapCounts(t *testing.T, before int, g Growth) []int {
	t.Helper()
	counts := make([]int, before-1)
	old := 0
	for i, o := range g.Origins {
		if !o.New {
			if want := (Origin{Below: old, Above: old}); o != want {
				t.Fatalf("block %d: %+v, want %+v", i, o, want)
			}
			old++
			continue
		}
		if o.Below < old-1 || o.Above < o.Below || o.Above > old {
			t.Fatalf("block %d: %+v stands between old blocks %d and %d", i, o, old-1, old)
		}
		counts[old-1]++ // out of range, hence a panic, if it were above the last old block
	}
	if old != before {
		t.Fatalf("%d old blocks, want %d", old, before)
	}
	return counts
}

func TestPlanGrowthProperties(t *testing.T) {
	for _, operator := range Operators() {
		if operator == StackOperator {
			continue // it knows no gaps
		}
		for _, position := range Positions() {
			for before := 2; before <= 12; before++ {
				for after := before + 1; after <= 40; after++ {
					g := recipetest.Grow(t, before, after, position, operator, uint64(after))
					if len(g.Origins) != after || g.Note != "" {
						t.Fatalf("%d -> %d, %s, %s: %d blocks, note %q", before, after, operator, position,
							len(g.Origins), g.Note)
					}
					counts := gapCounts(t, before, g)
					if slices.Max(counts)-slices.Min(counts) > 1 {
						t.Fatalf("%d -> %d, %s, %s: gaps of %v", before, after, operator, position, counts)
					}
					for i, o := range g.Origins {
						if o.Weight < 0 || o.Weight >= 1 {
							t.Fatalf("%d -> %d, %s, %s: block %d: %+v", before, after, operator, position, i, o)
						}
						if operator == "mean" && o.New && o.Weight <= g.Origins[i-1].Weight {
							t.Fatalf("%d -> %d, %s: weights do not rise at block %d: %+v", before, after, position, i,
								o)
						}
					}
				}
			}
		}
	}
}

// The whole stack of 6 layers becomes 24 as another program's list has it.
func TestStackGolden(t *testing.T) {
	var golden struct {
		Stack struct {
			Source []int `json:"source_layer_of_target_layer"`
		} `json:"g_stack_6_to_24"`
	}
	b, err := os.ReadFile(datatest.Path(t, "golden_methods/schedules.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &golden); err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, o := range recipetest.Grow(t, 6, 24, "upper", StackOperator, 1).Origins {
		got = append(got, o.Below)
	}
	if !slices.Equal(got, golden.Stack.Source) {
		t.Errorf("layers of %v, want %v", got, golden.Stack.Source)
	}
}

func TestRandomPositionDependsOnSeed(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(20) {
		order := fillOrder(t, 8, 7, "random", seed)
		if sorted := slices.Sorted(slices.Values(order)); !slices.Equal(sorted, []int{0, 1, 2, 3, 4, 5, 6}) {
			t.Fatalf("seed %d: %v is no permutation of 7 gaps", seed, order)
		}
		if again := fillOrder(t, 8, 7, "random", seed); !slices.Equal(order, again) {
			t.Fatalf("seed %d: %v, then %v", seed, order, again)
		}
		seen[fmt.Sprint(order)] = true
	}
	if len(seen) < 15 { // of 5040 permutations
		t.Errorf("20 seeds give only %d different orders", len(seen))
	}
}

func TestSingleLayerIsReported(t *testing.T) {
	if g := recipetest.Grow(t, 1, 3, "upper", "mean", 1); !strings.Contains(g.Note, "copies") ||
		!strings.Contains(g.Note, "(2)") {
		t.Errorf("note %q", g.Note)
	}
}

func TestPlanGrowthErrors(t *testing.T) {
	for _, c := range []struct {
		before, after      int
		position, operator string
		want               string
	}{
		{0, 3, "upper", "mean", "from 0 to 3 layers"},
		{-1, 3, "upper", "mean", "from -1 to 3 layers"},
		{4, 4, "upper", "mean", "from 4 to 4 layers"},
		{4, 3, "upper", "mean", "from 4 to 3 layers"},
		{4, 8, "top", "mean", `unknown growth position "top": choose one of upper, intermediate, lower, random`},
		{4, 8, "upper", "", `unknown growth operator "": choose one of mean, copy`},
		{1, 3, "upper", "sum", `unknown growth operator "sum"`},
	} {
		g, err := PlanGrowth(c.before, c.after, c.position, c.operator, 1)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("PlanGrowth(%d, %d, %q, %q) = %v, %v, want an error with %q", c.before, c.after, c.position,
				c.operator, g, err, c.want)
		}
	}
}
