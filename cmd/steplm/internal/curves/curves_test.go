package curves

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"steplm/cmd/steplm/internal/chart"
	"steplm/stage/eval"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/results"
)

// folder is a run's of 12 steps of 16 tokens at 8 tokens a second, which grows after the first stage and was measured
// at the end. Its losses begin as given.
func folder(t *testing.T, losses ...float64) (dir string, r recipe.Recipe) {
	t.Helper()
	dir, r = filepath.Join(t.TempDir(), "run"), recipetest.Must(t, "step", recipetest.Tiny())
	f, err := record.Create(dir, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found, err := record.Plain(eval.Result{Task: "validation", Metrics: map[string]eval.Metric{
		"perplexity": {
			Value: math.E,
		}, "nll": {Value: 20}, "tokens": {Value: 20}}, Protocol: eval.Protocol{Unit: "token"}})
	if err != nil {
		t.Fatal(err)
	}
	var lines []record.Event
	for i, loss := range losses {
		stage, _ := r.StageOf(i)
		lines = append(lines, record.Metrics{Step: i + 1, Stage: stage + 1, Loss: loss, Tokens: int64(16 * (i + 1)),
			TokensPerSecond: 8})
		at := record.At{Step: i + 1, Stage: stage + 1}
		if i+1 == r.Stages[0].Steps {
			at.Stage++
			lines = append(lines, record.Checkpoint{At: at, Seconds: 3},
				record.Growth{Transition: record.Transition{At: at, From: 3, To: 6, Seconds: 5}})
		}
		if i+1 == r.Steps() {
			lines = append(lines, record.Evaluation{At: at, When: "end", Set: "validation", Result: found},
				record.Transition{At: at, Note: "a note"})
		}
	}
	for _, e := range lines {
		if err := f.Metrics.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	return dir, r
}

// A series is the same steps on every axis: operations as the recipe counts them, time with what was done beside steps.
func TestSeriesOnEveryAxis(t *testing.T) {
	losses := []float64{9, 8, 7, 6, 5, 4, 3.5, 3, 2.5, 2, 1.75, 1.5}
	dir, r := folder(t, losses...)
	run, err := Read(dir, "a run")
	if err != nil || run.NoFLOPs != nil {
		t.Fatal(err, run.NoFLOPs)
	}
	grown := r.Stages[0].Steps
	for _, a := range Axes {
		s, err := run.Series(a, 1)
		if err != nil {
			t.Fatal(err)
		}
		for i := range losses {
			want := float64(i + 1)
			switch a {
			case Tokens:
				want *= 16
			case Time:
				if want *= 2; i+1 > grown {
					want += 8
				}
			case FLOPs:
				if want, err = r.FLOPsAfter(i + 1); err != nil {
					t.Fatal(err)
				}
			}
			if s.Y[i] != losses[i] || math.Abs(s.X[i]-want) > 1e-9*want {
				t.Errorf("%s: step %d is at (%g, %g), want (%g, %g)", a, i+1, s.X[i], s.Y[i], want, losses[i])
			}
		}
		marks := []chart.Mark{{At: grown - 1, Text: "growth after step 5: 3 to 6 layers"},
			{At: 11, Minor: true, Text: "grow, merge, freeze, wrap, reset, rewarm after step 12: a note"}}
		if diff := cmp.Diff(marks, s.Marks); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", a, diff)
		}
		if want := []chart.Dots{{Name: "a run: validation", X: s.X[11:], Y: []float64{1}}}; !cmp.Equal(want, s.Dots) {
			t.Errorf("%s: dots %v, want %v", a, s.Dots, want)
		}
		title := "Training loss, and points of what the model was measured on; a tick marks growth; " +
			"a thin tick another transition"
		if got := Title([]chart.Series{s}); got != title {
			t.Errorf("title %q", got)
		}
	}
}

// A step that says its operations took these, and the others the recipe's: the axis ends where the table of results
// says.
func TestOperationsOfSteps(t *testing.T) {
	dir, r := folder(t)
	each, err := r.StepFLOPs()
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for i := range r.Steps() {
		stage, _ := r.StageOf(i)
		fmt.Fprintf(&lines, `{"step":%d,"stage":%d,"loss":3,"tokens":%d`, i+1, stage+1, 16*(i+1))
		if i%3 > 0 { // of both stages
			fmt.Fprintf(&lines, `,"flops":%v`, each[stage]/2)
		}
		lines.WriteString("}\n")
	}
	if err := os.WriteFile(filepath.Join(dir, record.File), []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	run, err := Read(dir, "a")
	if err != nil || run.NoFLOPs != nil {
		t.Fatal(err, run.NoFLOPs)
	}
	sum := 0.0
	for i, got := range run.FLOPs {
		stage, _ := r.StageOf(i)
		if sum += each[stage]; i%3 > 0 {
			sum -= each[stage] / 2
		}
		if math.Abs(got-sum) > 1e-9*sum {
			t.Errorf("until the end of step %d there are %g operations, want %g", i+1, got, sum)
		}
	}
	if want := results.Of(dir).FLOPs; math.Abs(sum-want) > 1e-9*want {
		t.Errorf("the axis ends at %g operations, the table of results has %g", sum, want)
	}
}

// Without a recipe that counts them there are no operations, and it is said why; the other axes are there.
func TestNoFLOPs(t *testing.T) {
	dir, _ := folder(t, 3, 2)
	for _, c := range []struct{ recipe, want string }{
		{"", "there is no recipe.json"}, {"{}", "format 0"},
	} {
		path := filepath.Join(dir, record.RecipeFile)
		os.Remove(path)
		if c.recipe != "" {
			if err := os.WriteFile(path, []byte(c.recipe), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		run, err := Read(filepath.Join(dir, record.File), "a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run.Series(FLOPs, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("recipe %q: error %v, want %q", c.recipe, err, c.want)
		}
		if s, err := run.Series(Time, 1); err != nil || s.X[1] != 4 {
			t.Errorf("%v, %v", s, err)
		}
	}
}

// What is read of a damaged run is what came before the damage.
func TestReadUpToTheDamage(t *testing.T) {
	dir, _ := folder(t, 3, 2, 1)
	path := filepath.Join(dir, record.File)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, "Killed\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	run, err := Read(dir, "a")
	if err == nil || !strings.Contains(err.Error(), "line 4") || !slices.Equal(run.Curve.Loss, []float64{3, 2, 1}) ||
		len(run.FLOPs) != 3 {
		t.Errorf("%v, error %v", run, err)
	}
}

// A run's loss has crossed a level where the mean of a tenth of its steps is first at most that; what crosses and
// comes back counts once, and the last mean is the final loss of the table of results.
func TestCrossings(t *testing.T) {
	run := Run{Name: "a", Curve: record.Curve{Loss: make([]float64, 40)}}
	for i := range run.Curve.Loss {
		run.Curve.Loss[i] = 8 - 0.1*float64(i)
	}
	run.Curve.Loss[1] = -100 // Within the first tenth, which does not count but by its mean.
	list := run.Crossings()
	if got := list[0]; got.Index != 3 {
		t.Errorf("the first crossing is %v, want one after the first tenth, 4 steps", got)
	}
	run.Curve.Loss[1] = 7.9
	list = run.Crossings()
	settled := run.Settled()
	for _, c := range []struct {
		hundredths int
		index      int
	}{{785, 3}, {784, 4}, {700, 12}, {100, -1}, {2000, 3}} {
		index, ok := Reach(list, c.hundredths)
		if !ok {
			index = -1
		}
		if index != c.index {
			t.Errorf("%d hundredths: step index %d, want %d", c.hundredths, index, c.index)
		}
		if ok && (settled[index] > float64(c.hundredths)/100+1e-9 ||
			index > 3 && settled[index-1] <= float64(c.hundredths)/100) {
			t.Errorf("%d hundredths are not crossed at index %d: %v", c.hundredths, index, settled[index-1:index+1])
		}
	}
	if h := Hundredths(5.30); h != 530 {
		t.Errorf("5.30 is %d hundredths", h)
	}
	if (Run{}).Crossings() != nil {
		t.Error("no step crosses")
	}

	losses := []float64{9, 8, 7, 6, 5, 4, 3.5, 3, 2.5, 2, 1.75, 1.5}
	dir, _ := folder(t, losses...)
	read, err := Read(dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	settled = read.Settled()
	if got, want := settled[len(settled)-1], results.Of(dir).TrainLoss; math.Abs(got-want) > 1e-12 {
		t.Errorf("the final loss is %g here and %g in the table of results", got, want)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ paths, want string }{
		{"runs/a runs/b/", "a b"},
		{"runs/a/metrics.jsonl runs/b/metrics.jsonl", "a b"},
		{"1/step 2/step 2/vanilla", "1/step 2/step vanilla"},
		{"../a/.", "a"},
	} {
		got, err := Names(strings.Fields(c.paths))
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, %v, want %s", c.paths, got, err, c.want)
		}
	}
}

func TestSmooth(t *testing.T) {
	for n, want := range map[int][]float64{1: {4, 2, 6, 0}, 2: {4, 3, 4, 3}, 3: {4, 3, 4, 8. / 3}, 9: {4, 3, 4, 3}} {
		got := Smooth([]float64{4, 2, 6, 0}, n)
		for i := range want {
			if d := got[i] - want[i]; d < -1e-12 || d > 1e-12 {
				t.Errorf("over %d: %v, want %v", n, got, want)
			}
		}
	}
}

// The mean of many of a long run's steps takes no longer than that of few, and is as exact.
func TestSmoothOfMany(t *testing.T) {
	y := make([]float64, 300_000)
	for i := range y {
		y[i] = 1e3 + math.Sin(float64(i))
	}
	const n = 30_000
	got := Smooth(y, n)
	for _, i := range []int{0, 1, n - 2, n - 1, n, n + 1, 2*n - 1, len(y) - 1} {
		want := 0.0
		first := max(0, i-n+1)
		for _, v := range y[first : i+1] {
			want += v / float64(i+1-first)
		}
		if math.Abs(got[i]-want) > 1e-8 {
			t.Errorf("the mean at index %d is %v, want %v", i, got[i], want)
		}
	}
}
