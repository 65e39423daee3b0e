package experiment_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/data/datatest"
	"steplm/gpu/gputest"
	"steplm/stage/experiment"
	"steplm/stage/mtbench"
	"steplm/stage/record"
	"steplm/stage/results"
)

// first is an experiment whose models another one tunes.
const first = `{
  "name": "first", "seeds": [1, 2],
  "base": {
    "model": {"hidden": 16, "ffn": 24, "layers": 2, "heads": 2, "kv_heads": 1, "max_seq_len": 64, "seq_len": 16},
    "method": {"rank": 2}, "schedule": {"steps": 4, "batch_size": 2},
    "evaluation": {"eval_tokens": 0, "final_eval_tokens": 0}, "output": {"save_every": 0, "keep": 1}
  },
  "variants": [
    {"label": "vanilla", "set": {"method": {"name": "vanilla"}}},
    {"label": "step", "set": {"method": {"name": "step", "stages": 2}}}
  ]
}`

// tuned is one that tunes them, in windows of more positions than they have.
const tuned = `{
  "name": "tuned", "seeds": [1, 2],
  "base": {
    "model": {"max_seq_len": 256, "seq_len": 256}, "data": {"holdout": 0.3}, "method": {"name": "vanilla"},
    "tuning": {"batching": "packed", "examples": 8, "samples": 1, "sample_tokens": 2},
    "schedule": {"epochs": 2, "batch_size": 1, "lr": [0.01]},
    "evaluation": {"eval_tokens": 64, "final_eval_tokens": 512}, "output": {"save_every": 2, "keep": 1}
  },
  "variants": [{"label": "a", "from": "vanilla"}, {"label": "b", "from": "step"}],
  "evaluate": {
    "tasks": {"names": ["openbookqa"], "limit": 3},
    "mtbench": {"template": "alpaca", "max_tokens": 3},
    "before": true
  }
}`

// lessons are what the models are tuned on and asked.
type lessons struct{ examples, tasks, questions string }

func newLessons(t *testing.T) lessons {
	t.Helper()
	var examples []map[string]string
	for i := range 24 {
		examples = append(examples, map[string]string{"instruction": fmt.Sprintf("Count to %d.", i),
			"output": strings.Repeat("one ", i%5+1)})
	}
	text, err := json.Marshal(examples)
	if err != nil {
		t.Fatal(err)
	}
	var tasks strings.Builder
	for i := range 4 {
		mat := "mat"
		if i == 1 { // The models before have 16 positions.
			mat += strings.Repeat(" by the mat", 16)
		}
		fmt.Fprintf(&tasks, `{"query":"The cat number %d, which is grey and old and sleeps all day and all night in the `+
			`warm house by the cold sea, sat on the","choices":["%s","moon"],"gold":%d}`+"\n", i, mat, i%2)
	}
	return lessons{clitest.WriteFile(t, "alpaca.json", string(text)),
		filepath.Dir(clitest.WriteFile(t, "openbookqa.jsonl", tasks.String())),
		clitest.WriteFile(t, "question.jsonl",
			`{"question_id": 81, "category": "math", "turns": ["One?", "Two?"]}`+"\n")}
}

// tune is a command line for an experiment on the models of another.
func tune(l lessons, file, from, dir string, more ...string) []string {
	return append([]string{"experiment", file, "--out", dir, "--from", from, "--data", l.examples, "--tasks-data",
		l.tasks, "--questions", l.questions, "--device", "host", "--stable"}, more...)
}

// newFirst is the folder of an experiment whose models are there.
func newFirst(t *testing.T) (dir string, m clitest.Material) {
	t.Helper()
	m, dir = clitest.NewMaterial(t), filepath.Join(t.TempDir(), "first")
	clitest.Succeed(t, "", "experiment", clitest.WriteFile(t, "first.json", first), "--out", dir, "--data", m.Train,
		"--tokenizer", m.Tokenizer, "--device", "host", "--stable")
	return dir, m
}

// tasksOf are the lines of a folder's table of tasks, by their columns.
func tasksOf(t *testing.T, dir string) (list []map[string]string) {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(clitest.Contents(t, dir, experiment.TasksFile))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		list = append(list, row)
	}
	return list
}

// An experiment tunes the models of another, each with its seed, and asks them and those before them tasks and
// MT-Bench's questions; again it has nothing to do, and the report has all of it.
func TestTuneTheModelsOfAnExperiment(t *testing.T) {
	from, m := newFirst(t)
	l := newLessons(t)
	file, dir := clitest.WriteFile(t, "tuned.json", tuned), filepath.Join(t.TempDir(), "tuned")
	out := clitest.Succeed(t, "", tune(l, file, from, dir)...)
	if !strings.Contains(out, "8 examples of at most 256 tokens") {
		t.Errorf("nothing says what is learned from:\n%s", out)
	}
	rows := table(t, dir)
	if len(rows) != 4 {
		t.Fatalf("%d rows\n%s", len(rows), out)
	}
	for _, r := range rows {
		if r.Status != results.Done || !(r.ValidationPerplexity > 1) || r.Method != "vanilla" {
			t.Errorf("%+v", r)
		}
		checkTuned(t, dir, from, r)
	}
	scores := tasksOf(t, dir)
	if len(scores) != 16 { // runs, before and after, acc and acc_norm
		t.Fatalf("%d scores", len(scores))
	}
	for _, s := range scores {
		// Both are asked with as many positions as the models before have, of which some requests need more; a
		// document with a choice that alone has more is left out.
		if s["documents"] != "2" || s["left_out"] != "1" || s["context"] != "16" || s["cut"] == "0" ||
			s["chance"] != "0.5" || s["value"] == "" || s["stderr"] == "" || s["experiment"] != "tuned" {
			t.Errorf("%v", s)
		}
	}
	want := [3]string{clitest.Contents(t, dir, experiment.ResultsFile), clitest.Contents(t, dir, experiment.TasksFile),
		said(t, dir)}
	before := lengths(t, dir)
	again := clitest.Succeed(t, "", "experiment", dir, "--device", "host", "--stable")
	after := [3]string{clitest.Contents(t, dir, experiment.ResultsFile), clitest.Contents(t, dir,
		experiment.TasksFile), said(t, dir)}
	if after != want || strings.Contains(again, ": done, ") || fmt.Sprint(lengths(t, dir)) != fmt.Sprint(before) {
		t.Errorf("again:\n%s%q\nwant\n%q", again, after, want)
	}
	page := filepath.Join(t.TempDir(), "report")
	clitest.Succeed(t, "", "report", dir, "--out", page)
	text := clitest.Contents(t, page, "report.md")
	for _, part := range []string{"### Downstream tasks", "| chance |", "vanilla, then vanilla | before | 2 |",
		"step K=2, then vanilla | trained | 2 |", "Δ before", "validation loss", "## Answers"} {
		if !strings.Contains(text, part) {
			t.Errorf("the report lacks %q:\n%s", part, text)
		}
	}
	text = clitest.Contents(t, page, "answers.md")
	for _, part := range []string{"1 question of 1", "| vanilla, then vanilla, before | a-s1-", "### 81, math",
		"| **reference** | one", "| **asked** | One? | Two? |", "\n| vanilla, then vanilla, before | ",
		"\n| vanilla, then vanilla, trained | ",
		"\n| step K=2, then vanilla, before | ", "\n| step K=2, then vanilla, trained | "} {
		if !strings.Contains(text, part) {
			t.Errorf("the page of answers lacks %q:\n%s", part, text)
		}
	}
	changed := newLessons(t)
	if err := os.WriteFile(filepath.Join(changed.tasks, "openbookqa.jsonl"), []byte(
		`{"query":"One","choices":["a","b"],"gold":0}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	clitest.Fail(t, 1, []string{"begun with another task openbookqa"}, "experiment", dir, "--tasks-data", changed.tasks,
		"--device", "host")
	for name, ends := range otherEnds {
		t.Run(name, func(t *testing.T) {
			gputest.Long(t) // It takes tens of processes.
			ends(t, l, file, from, want)
		})
	}
	badFroms(t, l, m, from)
}

// otherEnds are other ways to the end of the same experiment.
var otherEnds = map[string]func(t *testing.T, l lessons, file, from string, want [3]string){}

// checkTuned checks a run's folder.
func checkTuned(t *testing.T, dir, from string, r results.Row) {
	t.Helper()
	run := filepath.Join(dir, experiment.RunsDir, r.Run)
	var spec struct {
		Model struct{ Init string }
	}
	if err := json.Unmarshal([]byte(clitest.Contents(t, run, record.SpecFile)), &spec); err != nil {
		t.Fatal(err)
	}
	base := map[string]string{"a": "vanilla", "b": "step"}[r.Run[:1]]
	want := filepath.Join(from, experiment.RunsDir, fmt.Sprintf("%s-s%d-", base, r.Seed))
	if got := spec.Model.Init; !strings.HasPrefix(got, want) {
		t.Errorf("%s began with %s, want %s", r.Run, got, want)
	}
	for folder, name := range map[string]string{run: r.Run, filepath.Join(run, experiment.BeforeDir): filepath.Base(
		spec.Model.Init)} {
		path := filepath.Join(folder, experiment.AnswersDir, name+".jsonl")
		a, err := mtbench.ReadAnswers(path)
		if err != nil || len(a.Of) != 1 || len(a.Of[81].Turns()) != 2 {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
		if _, err := os.Stat(filepath.Join(folder, "answers")); err == nil {
			t.Errorf("%s still has a journal", folder)
		}
	}
}

// said is all that the models of an experiment answered.
func said(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, pattern := range []string{"*", "*/" + experiment.BeforeDir} {
		found, err := filepath.Glob(filepath.Join(dir, experiment.RunsDir, pattern, experiment.AnswersDir, "*.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			a, err := mtbench.ReadAnswers(path)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s %q\n", filepath.Base(path), a.Of[81].Turns())
		}
	}
	return b.String()
}

// badFroms checks what is said where the models are not there, or others.
func badFroms(t *testing.T, l lessons, m clitest.Material, from string) {
	never := filepath.Join(t.TempDir(), "never")
	edited := func(from, to string) string {
		text := strings.Replace(tuned, from, to, 1)
		if text == tuned {
			t.Fatalf("%q is not in the file", from)
		}
		return clitest.WriteFile(t, "bad.json", text)
	}
	clitest.NewHub(t, nil)
	file := edited("tuned", "other")
	other := filepath.Join(t.TempDir(), "tokenizer.json")
	clitest.Succeed(t, "", "tokenizer", "train", "--data", m.Train, "--vocab", "290", "--out", other)
	declared := clitest.Contents(t, from, experiment.DeclaredFile)
	without := tune(l, file, from, never)
	without = append(without[:4:4], without[6:]...) // --from DIR
	for _, c := range []struct {
		code  int
		parts []string
		args  []string
	}{
		{2, []string{"--from: it is missing"}, without},
		{1, []string{"holds no experiment", experiment.DeclaredFile}, tune(l, file, l.tasks, never)},
		{2, []string{"--from", from, "would begin with its own models"}, tune(l, file, from, from)},
		{1, []string{"variants[0].from, of a", "did you mean vanilla?"}, tune(l, edited(`"from": "vanilla"`,
			`"from": "vanila"`), from, never)},
		{1, []string{"no run of vanilla with seed 3", "its seeds are [1 2]"}, tune(l, edited(`"seeds": [1, 2]`,
			`"seeds": [1, 3]`), from, never)},
		{2, []string{"--tokenizer", "trained with another one", "leave it out"}, tune(l, file, from, never,
			"--tokenizer", other)},
		{2, []string{"have their size", "leave it out"}, tune(l, file, from, never, "--scale", "toy")},
		{1, []string{"openbookqa", "no such dataset", "--tasks-data"}, fromHub(tune(l, file, from, never))},
		{1, []string{"nowhere: no such file"}, tune(l, file, from, never, "--tasks-data", "nowhere")},
		{1, []string{"nowhere.jsonl"}, tune(l, file, from, never, "--questions", "nowhere.jsonl")},
		{1, []string{"evaluate.tasks.names", "did you mean openbookqa?"}, tune(l, edited("openbookqa", "openbookqu"),
			from, never)},
		{1, []string{"there is no evaluate.tasks.limits", "did you mean evaluate.tasks.limit?"},
			tune(l, edited(`"limit"`, `"limits"`), from, never)},
		{2, []string{"--tasks-data", "asks no tasks"}, tune(l, clitest.WriteFile(t, "first.json", strings.Replace(first,
			`"label": "step"`, `"from": "step", "label": "step"`, 1)), from, never)},
		{2, []string{"--from", "begin with no models"}, []string{"experiment",
			clitest.WriteFile(t, "first.json", first), "--out", never, "--from", from, "--device", "host"}},
	} {
		clitest.Fail(t, c.code, c.parts, c.args...)
	}
	if got := clitest.Contents(t, from, experiment.DeclaredFile); got != declared {
		t.Errorf("the experiment that was to begin with itself is now\n%s", got)
	}
	runs, err := filepath.Glob(filepath.Join(from, experiment.RunsDir, "step-s2-*", record.FinalDir))
	if err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	if err := os.RemoveAll(filepath.Dir(runs[0])); err != nil {
		t.Fatal(err)
	}
	clitest.Fail(t, 1, []string{"variants[1].from, of b", "step-s2-", "missing", "no model of it to begin with"},
		tune(l, file, from, never)...)
	for _, name := range []string{experiment.DeclaredFile, experiment.RunsDir} {
		if _, err := os.Stat(filepath.Join(never, name)); err == nil {
			t.Errorf("bad input left %s", name)
		}
	}
}

// askedLater tunes, names MT-Bench's questions when all is done, and has the answers of a model fail: models that were
// asked tasks are not asked them again, whether the note of it was there or the answers came between.
func askedLater(t *testing.T, l lessons, file, from, dir string) {
	t.Helper()
	args := tune(l, file, from, dir)
	at := slices.Index(args, "--questions")
	clitest.Succeed(t, "", slices.Delete(slices.Clone(args), at, at+2)...)
	scores := map[string]string{}
	runs := table(t, dir)
	path := func(run string, parts ...string) string {
		return filepath.Join(append([]string{dir, experiment.RunsDir, run}, parts...)...)
	}
	for _, r := range runs {
		scores[r.Run] = clitest.Contents(t, path(r.Run), "scores.json")
	}
	if err := os.Remove(path(runs[0].Run, experiment.EvaluatedFile)); err != nil { // It is asked anew.
		t.Fatal(err)
	}
	inTheWay := path(runs[0].Run, experiment.AnswersDir, runs[0].Run+".jsonl")
	if err := os.MkdirAll(filepath.Join(inTheWay, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := clitest.Call(t, "", args...); code != 1 || !strings.Contains(stderr, "MT-Bench's answers") {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	first := clitest.Contents(t, path(runs[0].Run), "scores.json")
	if first == scores[runs[0].Run] {
		t.Error("without a note it was not asked anew")
	}
	scores[runs[0].Run] = first
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	clitest.Succeed(t, "", args...)
	for _, r := range runs {
		if clitest.Contents(t, path(r.Run), "scores.json") != scores[r.Run] {
			t.Errorf("%s was asked tasks again, for the answers", r.Run)
		}
		if _, err := mtbench.ReadAnswers(path(r.Run, experiment.AnswersDir, r.Run+".jsonl")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path(r.Run, "answers")); err == nil {
			t.Errorf("%s still has a journal", r.Run)
		}
	}
}

// What was tuned is tuned again, by a third experiment on the models of the second, whose tokenizer is the first's. Of
// two variants that begin with one model it is asked tasks once.
func TestTuneWhatWasTuned(t *testing.T) {
	from, _ := newFirst(t)
	alone := strings.NewReplacer(`"seeds": [1, 2]`, `"seeds": [1]`, `"before": true`, `"before": false`)
	l := newLessons(t)
	second, third := filepath.Join(t.TempDir(), "second"), filepath.Join(t.TempDir(), "third")
	askedLater(t, l, clitest.WriteFile(t, "tuned.json", alone.Replace(tuned)), from, second)
	again := strings.NewReplacer(`"from": "vanilla"`, `"from": "a"`, `"from": "step"`,
		`"from": "a", "set": {"schedule": {"lr": [0.02]}}`, `"name": "tuned"`, `"name": "again"`,
		`"seeds": [1, 2]`, `"seeds": [1]`).Replace(tuned)
	// This time tasks come from the hub, whose documents are counted before anything is trained.
	var content bytes.Buffer
	if err := datatest.WriteHubRows(&content, slices.Repeat([]datatest.HubRow{datatest.HubRowOf("id", "x",
		"question_stem", "The cat sat on the", "choices", datatest.TextLists{Text: []string{"mat", "moon"},
			Label: []string{"A", "B"}}, "answerKey", "B")}, 2)...); err != nil {
		t.Fatal(err)
	}
	clitest.NewHub(t, []clitest.HubFile{{Repo: "allenai/openbookqa", Revision: "refs/convert/parquet",
		Path: "main/test/0000.parquet", Content: content.Bytes()}})
	clitest.Succeed(t, "", fromHub(tune(l, clitest.WriteFile(t, "again.json", again), second, third, "--parallel",
		"2"))...)
	for _, r := range table(t, third) {
		if r.Status != results.Done {
			t.Errorf("%s is %s: %s", r.Run, r.Status, r.Problem)
		}
	}
	before := map[string][]string{}
	for _, row := range tasksOf(t, third) {
		if row["model"] == results.Before {
			before[row["metric"]] = append(before[row["metric"]], row["value"]+" ± "+row["stderr"])
		}
	}
	if acc := before["acc"]; len(acc) != 2 || acc[0] != acc[1] {
		t.Errorf("one model scored %v", before)
	}
	journals, err := filepath.Glob(filepath.Join(third, "answers", "*.jsonl"))
	if err != nil || len(journals) != 1 {
		t.Fatalf("the answers of one model are in %v, %v", journals, err)
	}
	if n := strings.Count(clitest.Contents(t, journals[0]), "\n"); n != 2 { // 2 equal questions, 2 choices
		t.Errorf("%d answers are kept, want those of one asking", n)
	}
	first := answeredBefore(t, third)
	// What is asked otherwise is asked anew, and once too.
	clitest.Succeed(t, "", fromHub(tune(l, clitest.WriteFile(t, "again.json", strings.Replace(again, `"max_tokens": 3`,
		`"max_tokens": 2`, 1)), second, third))...)
	if then := answeredBefore(t, third); then == first {
		t.Errorf("asked otherwise it has answer %s still", then)
	}
}

// fromHub is a command line without the folder of tasks.
func fromHub(args []string) []string {
	at := slices.Index(args, "--tasks-data")
	return slices.Delete(args, at, at+2)
}

// answeredBefore is the name of the answer of the model with which all runs of an experiment began. Every asking gives
// an answer a name of its own.
func answeredBefore(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, experiment.RunsDir, "*", experiment.BeforeDir, experiment.AnswersDir,
		"*.jsonl"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files of answers are %v, %v", files, err)
	}
	names := map[string]bool{}
	for _, path := range files {
		a, err := mtbench.ReadAnswers(path)
		if _, known, setupErr := mtbench.ReadSetup(path); err != nil || setupErr != nil || !known || len(a.Of) != 1 {
			t.Fatalf("%s: %+v, %v, %v", path, a, err, setupErr)
		}
		names[a.Of[81].AnswerID] = true
	}
	if len(names) != 1 {
		t.Errorf("one model was asked %d times: %v", len(names), names)
	}
	for name := range names {
		return name
	}
	return ""
}
