package experiment

import (
	"math"
	"slices"
	"strings"
	"testing"

	"steplm/stage/recipe/recipetest"
)

// The best of what was tried has a worse one on both sides, or is at an end; no more is tried than that takes.
func TestSought(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		begin        float64
		perplexities []float64
		from, to     int
	}{
		{0, []float64{9, 9, 9, 9, 9}, 0, 4},
		{3, []float64{1, 9, 5, 9, 1}, 1, 3}, // A dip behind a rise is not seen.
		{3, []float64{9, 8, 7, 6, 5}, 1, 4},
		{3, []float64{9, 9, 8, 6, 7}, 1, 4},
		{3, []float64{5, 6, 7, 8, 9}, 0, 3},
		{3, []float64{7, 6, 7, 8, 9}, 0, 3},
		{3, []float64{9, 6, 6, 8, 9}, 0, 3}, // Of two alike the lower is the best.
		{3, []float64{9, 7, nan, nan, nan}, 0, 3},
		{3, []float64{nan, nan, nan, nan, nan}, 0, 3},
		{1, []float64{5, 6, 4, 4, 4}, 0, 1},
		{1, []float64{6, 5, 4, 3, 4}, 0, 4},
		{5, []float64{9, 9, 9, 4, 3}, 3, 4},
	} {
		lr := LearningRate{Values: []float64{1, 2, 3, 4, 5}, Begin: c.begin}
		from, to := lr.sought(func(i int) (float64, bool) { return c.perplexities[i], true })
		if from != c.from || to != c.to {
			t.Errorf("%v from %g: %d to %d are tried, want %d to %d", c.perplexities, c.begin, from, to, c.from, c.to)
		}
	}
}

const searched = `{
  "name": "searched", "seeds": [1, 2],
  "base": {
    "model": {"hidden": 16, "ffn": 24, "layers": 4, "heads": 2, "vocab": 32, "max_seq_len": 16},
    "schedule": {"steps": 40}, "evaluation": {"validation": "held-out"}
  },
  "variants": [{"label": "a"}],
  "learning_rate": {"values": [0.001, 0.003, 0.01, 0.03, 0.1], "begin": 0.003, "share": 1, "seed": 1}
}`

// What is trained is the same in whichever order runs end, and a value that was not tried has no row.
func TestASearchIsTheSameInAnyOrder(t *testing.T) {
	perplexity := map[float64]float64{0.001: 9, 0.003: 7, 0.01: 5, 0.03: 6, 0.1: 1}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		f := folderOf(t, searched)
		begun := map[string]bool{}
		next := func() (r Run, ok bool) {
			r, ok = f.Next(func(r Run) bool { return begun[r.Name] })
			begun[r.Name] = true
			return r, ok
		}
		var first []Run
		for r, ok := next(); ok; r, ok = next() {
			first = append(first, r)
		}
		if len(first) != 3 {
			t.Fatalf("%d runs begin at first, want the value and its neighbours", len(first))
		}
		for _, i := range order {
			f.finish(t, first[i], perplexity[first[i].Spec.Schedule.LR[0]])
		}
		r, ok := next()
		if lr := r.Spec.Schedule.LR; !ok || lr[0] != 0.03 {
			t.Fatalf("next is the rate %v", lr)
		}
		if lr, err := f.Choice(0); lr != 0 || err != nil {
			t.Errorf("before the last of them ended %g is chosen, %v", lr, err)
		}
		f.finish(t, r, perplexity[0.03])
		if r, ok := next(); !ok || r.Seed != 2 || r.Spec.Schedule.LR[0] != 0.01 {
			t.Errorf("then %s", r.Name)
		}
		var rates []float64
		for _, row := range f.Rows()[0].Trials {
			rates = append(rates, row.LR[0])
		}
		if !slices.Equal(rates, []float64{0.001, 0.003, 0.03}) {
			t.Errorf("rows of what was tried and not taken: %v", rates)
		}
		again := reopened(t, f.Experiment, f.Dir)
		if lr, err := again.Choice(0); lr != 0.01 || err != nil {
			t.Errorf("opened again: %g, %v", lr, err)
		}
	}
}

// Whole runs that are not measured at their end choose nothing: that is said before any of them begins. Short ones say
// themselves what they score.
func TestWholeRunsThatChooseAreMeasured(t *testing.T) {
	for _, c := range []struct {
		share string
		says  string
	}{{`"share": 1`, "final_eval_tokens 0: a learning rate is chosen by what whole runs"},
		{`"share": 0.5, "eval_tokens": 8`, ""}} {
		f, err := Read([]byte(strings.NewReplacer(`"share": 1`, c.share, `"validation": "held-out"`,
			`"validation": "held-out", "final_eval_tokens": 0`).Replace(searched)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Make(f, 0); c.says != "" {
			recipetest.WantError(t, err, c.says)
		} else if err != nil {
			t.Errorf("%s: %v", c.share, err)
		}
	}
}

func TestBadBegin(t *testing.T) {
	for _, c := range []struct{ lr, says string }{
		{`"values": [0.001, 0.01], "begin": 0.003`, "learning_rate.begin: 0.003 is none of the values, [0.001 0.01]"},
		{`"values": [0.01, 0.001], "begin": 0.001`, "must ascend"},
	} {
		declared := `"values": [0.001, 0.003, 0.01, 0.03, 0.1], "begin": 0.003`
		f, err := Read([]byte(strings.Replace(searched, declared, c.lr, 1)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Make(f, 64)
		recipetest.WantError(t, err, c.says)
	}
}
