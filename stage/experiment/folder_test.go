package experiment

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"steplm/stage/eval"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/record"
	"steplm/stage/results"
)

// compared is an experiment of two variants and two seeds, in a folder.
const compared = `{
  "name": "compared", "seeds": [1, 2],
  "base": {
    "model": {"hidden": 16, "ffn": 24, "layers": 4, "heads": 2, "vocab": 32, "max_seq_len": 16},
    "schedule": {"steps": 40}, "evaluation": {"validation": "held-out"}
  },
  "variants": [{"label": "a", "set": {"method": {"name": "vanilla"}}}, {"label": "b"}],
  "learning_rate": {"values": [0.001, 0.003, 0.01], "share": 0.5, "seed": 5, "eval_tokens": 8}
}`

func newFolder(t *testing.T) *Folder {
	t.Helper()
	return folderOf(t, compared)
}

func folderOf(t *testing.T, text string) *Folder {
	t.Helper()
	f, err := Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	e, err := Make(f, 0)
	if err != nil {
		t.Fatal(err)
	}
	return reopened(t, e, t.TempDir())
}

func reopened(t *testing.T, e *Experiment, dir string) *Folder {
	t.Helper()
	folder, err := Open(dir, e)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// finish writes a run's folder as one that is done has it, with a validation perplexity; NaN: it diverged.
func (f *Folder) finish(t *testing.T, r Run, perplexity float64) {
	t.Helper()
	recipe, err := f.Recipe(r)
	if err != nil {
		t.Fatal(err)
	}
	w, err := record.Create(f.At(r), recipe, r.Spec)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	lines := []record.Event{record.Metrics{Step: 1, Stage: 1, Loss: 2, Tokens: 8}}
	if math.IsNaN(perplexity) {
		lines = append(lines, record.Failure{Error: "it diverged", Diverged: true})
	} else {
		plain, err := record.Plain(eval.PerplexityOf("validation", perplexity, 8))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, record.Evaluation{When: "end", Set: "validation", Result: plain}, record.End{})
	}
	for _, e := range lines {
		if err := w.Metrics.Write(e); err != nil {
			t.Fatal(err)
		}
	}
}

// Every run comes once, the first seed's before the second's, each variant's runs that choose right before its first.
func TestRunsComeInOrder(t *testing.T) {
	f := newFolder(t)
	var order []string
	for {
		r, ok := f.Next(func(Run) bool { return false })
		if !ok {
			break
		}
		label, _, _ := strings.Cut(r.Name, "-"+hash(r.Spec))
		order = append(order, label)
		f.finish(t, r, 10-float64(len(order))) // Later is better.
	}
	want := "[lr-a-0.001 lr-a-0.003 lr-a-0.01 a-s1 lr-b-0.001 lr-b-0.003 lr-b-0.01 b-s1 a-s2 b-s2]"
	if got := fmt.Sprint(order); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var table strings.Builder
	for _, r := range All(f.Rows()) {
		label, _, _ := strings.Cut(r.Run, "-s")
		fmt.Fprintf(&table, "%s lr %g seed %d %s\n", label[:min(4, len(label))], r.LR[0], r.Seed, r.Status)
	}
	if want := `lr-a lr 0.001 seed 5 selection
lr-a lr 0.003 seed 5 selection
lr-a lr 0.01 seed 5 selection
a lr 0.01 seed 1 done
a lr 0.01 seed 2 done
lr-b lr 0.001 seed 5 selection
lr-b lr 0.003 seed 5 selection
lr-b lr 0.01 seed 5 selection
b lr 0.01 seed 1 done
b lr 0.01 seed 2 done
`; table.String() != want {
		t.Errorf("got\n%swant\n%s", table.String(), want)
	}
}

// Whole runs that try learning rates are the results of their seed where theirs is chosen: none is trained twice, and
// none has two rows.
func TestWholeRunsThatChooseAreResults(t *testing.T) {
	f := folderOf(t, strings.Replace(compared, `"share": 0.5, "seed": 5, "eval_tokens": 8`, `"share": 1, "seed": 1`, 1))
	begun := map[string]bool{}
	for {
		r, ok := f.Next(func(Run) bool { return false })
		if !ok {
			break
		}
		if begun[r.Name] {
			t.Fatalf("%s runs twice", r.Name)
		}
		begun[r.Name] = true
		f.finish(t, r, 9+math.Abs(r.Spec.Schedule.LR[0]-0.003))
	}
	if len(begun) != 8 {
		t.Errorf("%d runs, want 3 rates and another seed, of two variants", len(begun))
	}
	for name, f := range map[string]*Folder{"the one that ran": f, "the one opened again": reopened(t, f.Experiment, f.Dir)} {
		var table []string
		for _, r := range All(f.Rows()) {
			table = append(table, fmt.Sprintf("%s %g %d %s", r.Run[:1], r.LR[0], r.Seed, r.Status))
		}
		want := "[a 0.001 1 selection a 0.01 1 selection a 0.003 1 done a 0.003 2 done " +
			"b 0.001 1 selection b 0.01 1 selection b 0.003 1 done b 0.003 2 done]"
		if got := fmt.Sprint(table); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
		if done, all, err := f.Work(); done != all || err != nil {
			t.Errorf("%s: %g of %g operations are done, %v", name, done, all, err)
		}
	}
}

// What is made equal changes the runs that are compared, not those by which learning rates are chosen: they are the
// same whatever is equal.
func TestRatesAreChosenBeforeAnythingIsEqual(t *testing.T) {
	plain := folderOf(t, compared)
	equal := folderOf(t, strings.Replace(compared, `"name"`, `"equal": {"what": "flops", "of": "a"}, "name"`, 1))
	for i := range plain.Variants {
		for k, r := range plain.TrialsOf(i) {
			if got := equal.TrialsOf(i)[k].Name; got != r.Name {
				t.Errorf("%s is %s where operations are equal", r.Name, got)
			}
		}
	}
	if a, b := plain.Final(1, 1, 0.001).Name, equal.Final(1, 1, 0.001).Name; a == b {
		t.Errorf("%s is the run with as many tokens and with as many operations", a)
	}
}

// A choice is that of the least perplexity, of two alike the first; what diverged has none.
func TestChoice(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		perplexities []float64
		lr           float64
		says         string
	}{
		{[]float64{9, 7, 8}, 0.003, ""}, {[]float64{7, 7, 8}, 0.001, ""}, {[]float64{9, nan, 8}, 0.01, ""},
		{[]float64{nan, nan, nan}, 0, "none of the learning rates of a gave a perplexity"}, {[]float64{9, 7}, 0, ""},
	} {
		f := newFolder(t)
		trials := f.TrialsOf(0)
		for i, p := range c.perplexities {
			f.finish(t, trials[i], p)
		}
		lr, err := f.Choice(0)
		if lr != c.lr || (err != nil) != (c.says != "") {
			t.Errorf("%v: %g and %v, want %g", c.perplexities, lr, err, c.lr)
		}
		if c.says != "" {
			recipetest.WantError(t, err, c.says)
		}
		again := reopened(t, f.Experiment, f.Dir)
		if kept := len(again.State.Choices) == 1; kept != (c.lr > 0) {
			t.Errorf("%v: it keeps %+v", c.perplexities, again.State.Choices)
		}
		if c.lr > 0 { // What was chosen stays, also where the runs that chose are gone.
			if err := os.RemoveAll(f.At(trials[0])); err != nil {
				t.Fatal(err)
			}
			if lr, err := again.Choice(0); lr != c.lr || err != nil {
				t.Errorf("%v: kept, and then %g, %v", c.perplexities, lr, err)
			}
		}
	}
}

// A run that failed may not fail the next time: nothing is chosen without it, and the others of its variant wait.
func TestNothingIsChosenWithoutARunThatFailed(t *testing.T) {
	f := newFolder(t)
	trials := f.TrialsOf(0)
	f.finish(t, trials[0], 9)
	f.finish(t, trials[2], 8)
	f.State.Failures[trials[1].Name] = Failure{results.Failed, "the device is lost"}
	if row := f.Row(trials[1]); row.Status != results.Failed || row.Problem != "the device is lost" ||
		row.Method != "vanilla" || row.LR[0] != 0.003 || row.Experiment != "compared" {
		t.Errorf("%+v", row)
	}
	lr, err := f.Choice(0)
	if recipetest.WantError(t, err, trials[1].Name, "without a failure"); lr != 0 {
		t.Errorf("%g is chosen", lr)
	}
	for _, r := range All(f.Rows())[3:5] {
		if r.Status != results.Failed || !strings.Contains(r.Problem, trials[1].Name) {
			t.Errorf("%+v", r)
		}
	}
	if r, ok := f.Next(func(Run) bool { return false }); !ok || r.Name != trials[1].Name {
		t.Errorf("next is %s, %v; the one that failed is tried again", r.Name, ok)
	}
	if r, ok := f.Next(func(r Run) bool { return r.Name == trials[1].Name }); !ok || r.Variant != 1 {
		t.Errorf("next is %s, %v; of the other variant something is left", r.Name, ok)
	}
	f.Forget(trials[1])
	f.finish(t, trials[1], 1)
	if lr, err := f.Choice(0); lr != 0.003 || err != nil {
		t.Errorf("after it went well: %g, %v", lr, err)
	}
}

// A run that is there and that this version would train otherwise says so, and counts.
func TestRunOfAnotherRecipe(t *testing.T) {
	f := newFolder(t)
	r := f.Final(0, 1, 0.001)
	if row := f.Row(r); row.Status != results.Missing || row.LR[0] != 0.001 {
		t.Errorf("%+v", row)
	}
	other := r
	other.Spec.Optimizer.WeightDecay = []float64{0.5}
	f.finish(t, other, 9)
	row := f.Row(r)
	if row.Status != results.Done || !strings.Contains(row.Problem, "another recipe") ||
		!strings.Contains(row.Problem, "weight_decay is 0.5 there and 0.1 here") {
		t.Errorf("%+v", row)
	}
	same := f.Final(0, 2, 0.001)
	f.finish(t, same, 9)
	if row := f.Row(same); row.Problem != "" {
		t.Errorf("%+v", row)
	}
}

// A folder that was begun with other data goes on with none of them.
func TestInputsStayTheSame(t *testing.T) {
	s := State{Inputs: map[string]string{}}
	if err := s.Same("dir", map[string]string{"data": "x", "wikitext": "none"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Same("dir", map[string]string{"data": "x", "tokenizer": "y"}); err != nil {
		t.Fatal(err)
	}
	recipetest.WantError(t, s.Same("dir", map[string]string{"data": "z"}), "dir was begun with another data", "x", "z")
}

// A name depends on what is computed, not on where things lie nor on how often is saved.
func TestNamesAreOfContent(t *testing.T) {
	f := newFolder(t)
	r := f.Final(0, 1, 0.001)
	for _, c := range []struct {
		part string
		same bool
	}{
		{`{}`, true}, {`{"data": {"train": ["elsewhere"], "cache": "there", "workers": 3}}`, true},
		{`{"output": {"save_every": 7, "keep": 5}, "evaluation": {"validation": "elsewhere"}}`, true},
		{`{"evaluation": {"final_eval_tokens": 9}}`, false}, {`{"schedule": {"seed": 2}}`, false},
		{`{"model": {"init": "runs/other"}}`, false}, {`{"optimizer": {"clip_norm": 2}}`, false},
		{`{"schedule": {"tokens": 100}}`, false},
		{`{"data": {"min_chars": 5}}`, false},
	} {
		s, err := r.Spec.With([]byte(c.part))
		if err != nil {
			t.Fatal(err)
		}
		if same := hash(s) == hash(r.Spec); same != c.same {
			t.Errorf("with %s the name is the same: %v, want %v", c.part, same, c.same)
		}
	}
}
