package results

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"steplm/stage/eval"
	"steplm/stage/recipe"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
)

// madeRun writes a folder of a small STEP run with the lines given, and returns it.
func madeRun(t *testing.T, lines ...record.Event) (dir string, r recipe.Recipe) {
	t.Helper()
	dir, r = filepath.Join(t.TempDir(), "a-run"), recipetest.Must(t, "step", recipetest.Tiny())
	f, err := record.Create(dir, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, e := range lines {
		if err := f.Metrics.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	return dir, r
}

// steps are the lines of so many steps, of 16 tokens at 8 tokens a second each, whose loss is their number.
func steps(n int) (lines []record.Event) {
	for i := 1; i <= n; i++ {
		lines = append(lines, record.Metrics{Step: i, Stage: 1, Loss: float64(i), Tokens: int64(16 * i),
			TokensPerSecond: 8, Peaks: record.Peaks{PeakBytes: 100},
			Bytes: map[string]int64{"weights": int64(i), "adapters": 20, "gradients": 300, "optimizer": 4000,
				"activations": 50000, "scratch": 600000}})
	}
	return lines
}

func measuredAtEnd(t *testing.T, set string, perplexity float64, when string) record.Event {
	t.Helper()
	plain, err := record.Plain(eval.PerplexityOf(set, perplexity, 8))
	if err != nil {
		t.Fatal(err)
	}
	return record.Evaluation{At: record.At{Step: 12, Stage: 2}, When: when, Set: set, Result: plain}
}

func TestRowOfAFinishedRun(t *testing.T) {
	lines := append(steps(12), record.Growth{Transition: record.Transition{At: record.At{Step: 12,
		Peaks: record.Peaks{PeakBytes: 170}}}},
		measuredAtEnd(t, "validation", 99, "every"), measuredAtEnd(t, "holdout", 31, "end"),
		measuredAtEnd(t, "validation", 30, "end"), measuredAtEnd(t, "wikitext", 70, "end"), record.End{})
	dir, r := madeRun(t, lines...)
	flops, err := r.FLOPs()
	if err != nil {
		t.Fatal(err)
	}
	want := Row{Run: "a-run", Method: "step", Optimizer: "adamw", Stages: 2, Seed: 7, LR: []float64{0.01}, Tokens: 192,
		FLOPs: flops, PeakBytes: 170, StateBytes: 4332, TrainLoss: 12, ValidationPerplexity: 30,
		WikitextWordPerplexity: 70, TokensPerSecond: 8, Status: Done}
	if got := Of(dir); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Of steps some may say their operations, those whose rows are short; the others have the recipe's, as those have whose
// lines were lost. Where all say theirs, the sum is theirs to the bit.
func TestOperationsOfSteps(t *testing.T) {
	for _, c := range []struct {
		name   string
		own    map[int]float64 // by step
		lost   int             // a step without a line
		shares float64         // the recipe's steps that count
	}{
		{"none", nil, 0, 4},
		{"one of them", map[int]float64{2: 1e6}, 0, 3},
		{"one of them, and a line is lost", map[int]float64{2: 1e6}, 3, 3},
		{"all", map[int]float64{1: 1e6 + 0.1, 2: 1e6 + 0.2, 3: 1e6 + 0.3, 4: 1e6 + 0.4}, 0, 0},
	} {
		var lines []record.Event
		want := 0.0
		for i, e := range steps(4) {
			if i+1 == c.lost {
				continue
			}
			m := e.(record.Metrics)
			m.FLOPs = c.own[i+1]
			want += m.FLOPs
			lines = append(lines, m)
		}
		dir, r := madeRun(t, lines...)
		one, err := r.FLOPsAfter(1)
		if err != nil {
			t.Fatal(err)
		}
		if got := Of(dir).FLOPs; got != want+c.shares*one {
			t.Errorf("%s: %g operations, want %g: %g of the steps that say theirs and %g of the recipe's", c.name, got,
				want+c.shares*one, want, c.shares)
		}
	}
}

// What is held out of several sources, each of which has a set, is measured as one set would be; a validation set goes
// before it.
func TestPerplexityOfSeveralSources(t *testing.T) {
	set := func(name string, nll, tokens float64) record.Event {
		plain, err := record.Plain(eval.Result{Task: name, Protocol: eval.Protocol{Unit: "token"},
			Metrics: map[string]eval.Metric{"perplexity": {Value: math.Exp(nll / tokens)}, "nll": {Value: nll},
				"tokens": {Value: tokens}}})
		if err != nil {
			t.Fatal(err)
		}
		return record.Evaluation{At: record.At{Step: 12, Stage: 2}, When: "end", Set: name, Result: plain}
	}
	lines := append(steps(12), set("holdout 1", 30, 10), set("holdout 2", 20, 30))
	dir, _ := madeRun(t, lines...)
	if got, want := Of(dir).ValidationPerplexity, math.Exp(50./40); math.Abs(got-want) > 1e-12*want {
		t.Errorf("of two sources it is %g, want %g", got, want)
	}
	dir, _ = madeRun(t, append(lines, set("validation", 5, 10))...)
	if got := Of(dir).ValidationPerplexity; got != math.Exp(0.5) {
		t.Errorf("with a validation set it is %g, want %g", got, math.Exp(0.5))
	}
}

// Each way in which a run is not whole is a row that says so, with what is known.
func TestRowsOfRunsThatAreNotDone(t *testing.T) {
	failure := func(diverged bool) record.Event {
		return record.Failure{At: record.At{Step: 4}, Error: "step 5: why", Diverged: diverged}
	}
	appended := func(text string) func(string) error {
		return func(dir string) error {
			f, err := os.OpenFile(filepath.Join(dir, record.File), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString(text)
			return err
		}
	}
	recipeEdited := func(from, to string) func(string) error {
		return func(dir string) error {
			path := filepath.Join(dir, record.RecipeFile)
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, bytes.Replace(text, []byte(from), []byte(to), 1), 0o644)
		}
	}
	for _, c := range []struct {
		name   string
		lines  []record.Event
		spoil  func(dir string) error
		status Status
		tokens int64
		says   string
	}{
		{"no step yet", nil, nil, Unfinished, 0, "0 of 12 steps"},
		{"no metrics yet", nil, func(dir string) error { return os.Remove(filepath.Join(dir, record.File)) },
			Unfinished, 0, "0 of 12"},
		{"half", steps(5), nil, Unfinished, 80, "5 of 12 steps"},
		{"half a line", steps(5), appended(`{"step":6,"lo`), Unfinished, 80, "5 of 12 steps"},
		{"not measured yet", steps(12), nil, Unfinished, 192, "12 of 12 steps"},
		{"diverged", append(steps(4), failure(true)), nil, Diverged, 64, "step 5: why"},
		{"failed", append(steps(4), failure(false)), nil, Failed, 64, "step 5: why"},
		{"resumed", append(steps(4), failure(false), record.Resume{At: record.At{Step: 4}}), nil, Unfinished, 64,
			"4 of 12"},
		{"missing", nil, os.RemoveAll, Missing, 0, "holds no run"},
		{"no recipe", steps(2), func(dir string) error { return os.Remove(filepath.Join(dir, record.RecipeFile)) },
			Missing, 0, "holds no run"},
		{"damaged line", steps(3), appended("{]\n"), Damaged, 48, "line 4"},
		{"steps twice", append(steps(3), steps(1)...), nil, Damaged, 48, "step 1 (16 tokens) after step 3"},
		{"damaged recipe", steps(3), recipeEdited("{", "]"), Damaged, 0, "recipe.json"},
		{"a recipe of another format", steps(3), recipeEdited(`"format": 3`, `"format": 9`), Version, 0, "format 9"},
		{"a recipe with a new field", steps(3), recipeEdited(`{`, `{"later": 1,`), Version, 0, "later"},
		{"a new event", steps(3), appended(`{"event":"later"}` + "\n"), Version, 48, "later"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _ := madeRun(t, c.lines...)
			if c.spoil != nil {
				if err := c.spoil(dir); err != nil {
					t.Fatal(err)
				}
			}
			got := Of(dir)
			if got.Status != c.status || got.Tokens != c.tokens || !strings.Contains(got.Problem, c.says) ||
				got.Run != "a-run" {
				t.Errorf("%s with %d tokens and %q, want %s, %d and %q", got.Status, got.Tokens, got.Problem, c.status,
					c.tokens, c.says)
			}
			if (got.FLOPs > 0) != (c.tokens > 0) || math.IsNaN(got.TrainLoss) != (c.tokens == 0) {
				t.Errorf("%d tokens, but %g operations and a loss of %g", c.tokens, got.FLOPs, got.TrainLoss)
			}
		})
	}
}

// The columns are those that other programs know.
func TestCSV(t *testing.T) {
	nan := math.NaN()
	rows := []Row{
		{Experiment: "paper, table", Run: `a "run"`, Method: "step", Optimizer: "scale", Stages: 3,
			Seed: math.MaxUint64, LR: []float64{1e-3, 3e-3}, Tokens: 500736, FLOPs: 2.97e12, PeakBytes: 1 << 40,
			StateBytes: 7, TrainLoss: 5.123456789012345, ValidationPerplexity: 302.1, WikitextWordPerplexity: 59527,
			TokensPerSecond: 1216.5, Status: Done},
		{Run: "none", TrainLoss: nan, ValidationPerplexity: nan, WikitextWordPerplexity: nan, TokensPerSecond: nan,
			Status: Missing},
	}
	const head = "experiment,run,method,optimizer,stages,seed,lr,tokens,flops,peak_bytes,state_bytes,train_loss," +
		"validation_perplexity,wikitext_word_perplexity,"
	var full, stable bytes.Buffer
	if err := WriteCSV(&full, rows, false); err != nil {
		t.Fatal(err)
	}
	if err := WriteCSV(&stable, rows, true); err != nil {
		t.Fatal(err)
	}
	want := head + "tokens_per_second,status\n" + `"paper, table","a ""run""",step,scale,3,18446744073709551615,` +
		"0.001;0.003,500736,2.97e+12,1099511627776,7,5.123456789012345,302.1,59527,1216.5,done\n" +
		",none,,,,,,,0,,,,,,,missing\n"
	if full.String() != want {
		t.Errorf("got\n%swant\n%s", full.String(), want)
	}
	if got, want := stable.String(), strings.NewReplacer("tokens_per_second,", "", "1216.5,", "", ",,missing",
		",missing").Replace(want); got != want {
		t.Errorf("stable: got\n%swant\n%s", got, want)
	}
	for _, c := range []struct{ name, text string }{{"full", full.String()}, {"stable", stable.String()}} {
		back, err := ReadCSV(strings.NewReader(c.text))
		if err != nil {
			t.Fatal(err)
		}
		again := &bytes.Buffer{}
		if err := WriteCSV(again, back, c.name == "stable"); err != nil || again.String() != c.text {
			t.Errorf("%s read back is\n%s%v", c.name, again, err)
		}
	}
}

func TestCSVOfOtherVersionsAndBadOnes(t *testing.T) {
	rows, err := ReadCSV(strings.NewReader("run,new,status\nx,5,done\n"))
	if err != nil || len(rows) != 1 || rows[0].Run != "x" || rows[0].Status != Done || !math.IsNaN(rows[0].TrainLoss) {
		t.Errorf("%+v, %v", rows, err)
	}
	for _, c := range []struct{ text, says string }{
		{"", "empty"}, {"a,b\n1,2\n", "no table of runs"}, {"run,status,tokens\nx,done,many\n", "line 2: tokens is"},
		{"run,status,lr\nx,done,1;b\n", "lr"}, {"run,status\nx\n", "wrong number of fields"},
	} {
		_, err := ReadCSV(strings.NewReader(c.text))
		if err == nil {
			t.Errorf("%q is no error", c.text)
			continue
		}
		recipetest.WantError(t, err, c.says)
	}
}
