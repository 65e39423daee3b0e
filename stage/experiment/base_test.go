package experiment

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/stage/harness"
	"steplm/stage/recipe/recipetest"
	"steplm/stage/results"
	"steplm/stage/session"
)

// baseFolder is compared as an experiment of which the first seed's runs are done.
func baseFolder(t *testing.T) *Folder {
	t.Helper()
	f := newFolder(t)
	declared, err := f.File.Text()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(declared), `"vocab": 32`, `"vocab": 320`, 1)
	if f.File, err = Read([]byte(text)); err != nil {
		t.Fatal(err)
	}
	for i := range f.Variants {
		for j, r := range f.TrialsOf(i) {
			f.finish(t, r, 10+float64(j))
		}
		lr, err := f.Choice(i)
		if err != nil {
			t.Fatal(err)
		}
		f.finish(t, f.Final(i, 1, lr), 9)
	}
	return f
}

// What another experiment begins with are runs that are done, of the rate that was chosen; what is not there is said,
// and nothing is written.
func TestModelsToBeginWith(t *testing.T) {
	f := baseFolder(t)
	b := &Base{f}
	run, err := b.Model("a", 1)
	if err != nil || run != f.At(f.Final(0, 1, 0.001)) {
		t.Errorf("%s, %v", run, err)
	}
	for _, c := range []struct {
		label string
		seed  uint64
		parts []string
	}{
		{"aa", 1, []string{"there is no aa", "did you mean a?"}},
		{"a", 7, []string{"no run of a with seed 7", "[1 2]"}},
		{"b", 2, []string{"b-s2-", "is missing", "no model of it to begin with"}},
	} {
		_, err := b.Model(c.label, c.seed)
		recipetest.WantError(t, err, c.parts...)
	}
	f.reading = true
	f.State.Choices = nil
	if _, err := f.Choice(0); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadState(f.Dir); err != nil || len(s.Choices) != 2 {
		t.Errorf("its folder was written: %+v, %v", s, err)
	}
	_, err = ReadBase(t.TempDir())
	recipetest.WantError(t, err, "holds no experiment", DeclaredFile)
}

// The name of a run that begins with another's model is of that run's name, not of where it lies.
func TestNamesOfRunsThatBeginWithOthers(t *testing.T) {
	v := Made{From: "vanilla"}
	s := session.Default()
	name := func(v Made, path string) string {
		s.Model.Init = filepath.FromSlash(path)
		return v.hash(s)
	}
	here := name(v, "here/runs/vanilla-s1-01234567")
	if here != name(v, "there/runs/vanilla-s1-01234567") || here == name(v, "here/runs/vanilla-s2-01234567") {
		t.Error("the name is not that of the run's content")
	}
	if name(Made{}, "here/runs/x") == name(Made{}, "there/runs/x") {
		t.Error("a model of which nothing is known but where it lies is another elsewhere")
	}
}

// A length in epochs is what the examples make of it, and of a share whole epochs.
func TestEpochs(t *testing.T) {
	text := strings.NewReplacer(`"schedule": {"steps": 40}`, `"schedule": {"epochs": 4}`).Replace(compared)
	f, err := Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	e, err := MakeOf(f, 0, func(s session.Spec) (int, error) { return 10 * s.Schedule.Epochs, nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		run  Run
		want int
	}{{e.Final(0, 1, 0.001), 40}, {e.TrialsOf(0)[0], 20}} {
		if r, err := e.Recipe(c.run); err != nil || r.Steps() != c.want {
			t.Errorf("%d steps, want %d; %v", r.Steps(), c.want, err)
		}
	}
	_, err = MakeOf(f, 0, func(session.Spec) (int, error) { return 0, fmt.Errorf("no such file") })
	recipetest.WantError(t, err, "no such file")
}

// What was asked is noted without where it lay, so that a folder that moved has nothing to be asked anew.
func TestEvaluatedIsNoted(t *testing.T) {
	dir := t.TempDir()
	e := Evaluate{Tasks: &Tasks{Names: []string{"piqa"}, Data: "here", Limit: 5}, MTBench: &MTBench{Template: "alpaca",
		MaxTokens: 9}}
	noted := func(e Evaluate) bool {
		t.Helper()
		yes, err := e.Noted(dir)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if noted(e) {
		t.Error("nothing was asked")
	}
	if err := e.Note(dir); err != nil {
		t.Fatal(err)
	}
	moved, more, questions := *e.Tasks, *e.Tasks, *e.MTBench
	moved.Data, more.Limit, questions.Questions = "there", 6, "question.jsonl"
	for _, c := range []struct {
		name string
		e    Evaluate
		same bool
	}{
		{"the same", e, true}, {"moved", Evaluate{Tasks: &moved, MTBench: e.MTBench}, true},
		{"before too", Evaluate{Tasks: e.Tasks, MTBench: e.MTBench, Before: true}, true},
		{"more documents", Evaluate{Tasks: &more, MTBench: e.MTBench}, false},
		{"questions, which were not named", Evaluate{Tasks: e.Tasks, MTBench: &questions}, false},
	} {
		if noted(c.e) != c.same {
			t.Errorf("%s: noted is %v", c.name, !c.same)
		}
	}
	// Of the tasks alone it is noted before the questions are answered, and whatever these are.
	tasks := t.TempDir()
	if err := e.NoteTasks(tasks); err != nil {
		t.Fatal(err)
	}
	asked := Evaluate{Tasks: e.Tasks, MTBench: &questions}
	for _, c := range []struct {
		name, dir string
		e         Evaluate
		same      bool
	}{
		{"tasks alone", tasks, asked, true}, {"tasks with other questions", dir, asked, true},
		{"more documents", dir, Evaluate{Tasks: &more, MTBench: e.MTBench}, false}, {"nothing", t.TempDir(), e, false},
	} {
		if got, err := c.e.TasksNoted(c.dir); err != nil || got != c.same {
			t.Errorf("%s: tasks are noted: %v, %v", c.name, got, err)
		}
	}
	if all, err := asked.Noted(tasks); err != nil || all {
		t.Errorf("questions that were not asked are noted: %v, %v", all, err)
	}
	// Another evaluation of the model takes the place of its scores: then it is asked anew.
	scores := filepath.Join(dir, harness.ScoresFile)
	for i, text := range []string{"{}", "{ }"} {
		if err := os.WriteFile(scores, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := noted(e); got != (i == 0) { // The note is of a version that knew no scores, and then of this one.
			t.Errorf("scores %q: noted is %v", text, got)
		}
		if err := e.Note(dir); err != nil || !noted(e) {
			t.Errorf("scores %q: noted again, and not: %v", text, err)
		}
	}
	if err := os.Remove(scores); err != nil || noted(e) {
		t.Errorf("scores are gone, and noted: %v", err)
	}
	models := Evaluate{Before: true}.Models(filepath.Join("runs", "x"), filepath.Join("base", "y"))
	want := []Asked{{filepath.Join("runs", "x"), filepath.Join("runs", "x"), "x"},
		{filepath.Join("base", "y"), filepath.Join("runs", "x", BeforeDir), "y"}}
	if !slices.Equal(models, want) {
		t.Errorf("%+v", models)
	}
}

// A run that is done comes again until its model was asked everything, one that diverged does not.
func TestRunsComeUntilTheyAreEvaluated(t *testing.T) {
	f := newFolder(t)
	f.File.LearningRate, f.File.Evaluate = nil, &Evaluate{Tasks: &Tasks{Names: []string{"piqa"}}}
	for i := range f.Variants {
		f.Variants[i].Chose = -1
		for _, seed := range f.File.Seeds {
			f.finish(t, f.Final(i, seed, 0), 9)
		}
	}
	var order []string
	for {
		r, ok := f.Next(func(Run) bool { return false })
		if !ok || len(order) > 9 {
			break
		}
		order = append(order, r.Name[:4])
		if err := f.File.Evaluate.Note(f.At(r)); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(order); got != "[a-s1 b-s1 a-s2 b-s2]" || len(f.Unevaluated()) > 0 {
		t.Errorf("%s, and then %d are left", got, len(f.Unevaluated()))
	}
	if row := f.Rows()[0].Finals[0]; row.Status != results.Done {
		t.Errorf("%+v", row)
	}
}

// Paths are made absolute wherever a file has them, but for relative models to begin with in a folder that has such
// ones: its runs are called by them.
func TestLocated(t *testing.T) {
	f, err := Read([]byte(`{"name": "x", "seeds": [1],
		"base": {"model": {"init": "runs/a"}, "data": {"train": ["hf://datasets/o/n", "texts=0.5"]}},
		"variants": [{"label": "a"}, {"label": "b", "set": {"model": {"init": "runs/b@step-8", "name": "a/b.json"}, "method": {"rank": 3},
			"evaluation": {"validation": "held-out"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, begun := range []bool{false, true} {
		got, err := f.Located(dir)
		if err != nil {
			t.Fatal(err)
		}
		want := func(path string, init bool) string {
			if init && begun {
				return path
			}
			path, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			return path
		}
		base, err := got.BaseSpec()
		if err != nil {
			t.Fatal(err)
		}
		b, err := base.With(got.Variants[1].Set)
		if err != nil {
			t.Fatal(err)
		}
		paths := append(slices.Clone(base.Data.Train), base.Model.Init, b.Model.Init, b.Evaluation.Validation,
			b.Model.Name)
		if wanted := []string{"hf://datasets/o/n", want("texts=0.5", false), want("runs/a", true),
			want("runs/b@step-8", true), want("held-out", false),
			want("a/b.json", true)}; !slices.Equal(paths, wanted) {
			t.Errorf("begun %t: %q, want %q", begun, paths, wanted)
		}
		if b.Method.Rank == nil || *b.Method.Rank != 3 || got.Variants[0].Set != nil ||
			string(f.Variants[1].Set) == string(got.Variants[1].Set) {
			t.Errorf("begun %t: %s", begun, got.Variants)
		}
		declared, err := f.Text()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, DeclaredFile), declared, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
