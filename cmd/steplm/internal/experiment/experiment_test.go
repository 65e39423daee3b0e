package experiment_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"steplm/cmd/steplm/internal/clitest"
	"steplm/stage/experiment"
	"steplm/stage/record"
	"steplm/stage/results"
)

// small is an experiment of two variants whose learning rate is chosen, and one that diverges: 10 runs of a model
// that trains in milliseconds.
const small = `{
  "name": "small", "seeds": [1, 2],
  "base": {
    "model": {"hidden": 16, "ffn": 24, "layers": 4, "heads": 2, "kv_heads": 1, "max_seq_len": 64, "seq_len": 16},
    "method": {"rank": 2}, "schedule": {"steps": 12, "batch_size": 2},
    "evaluation": {"eval_tokens": 64, "final_eval_tokens": 128}, "output": {"save_every": 2, "keep": 1}
  },
  "variants": [
    {"label": "step", "set": {"method": {"stages": 2}}},
    {"label": "vanilla", "set": {"method": {"name": "vanilla"}}},
    {"label": "wild", "set": {"method": {"name": "vanilla"}, "schedule": {"lr": [1e30]}}}
  ],
  "learning_rate": {"values": [0.001, 0.01], "share": 0.5, "seed": 1, "eval_tokens": 128}
}`

// asked is a command line for an experiment's file, in a folder.
func asked(m clitest.Material, file, dir string, more ...string) []string {
	return append([]string{"experiment", file, "--out", dir, "--data", m.Train, "--validation", m.Validation,
		"--wikitext", m.Wikitext, "--tokenizer", m.Tokenizer, "--device", "host", "--stable"}, more...)
}

func table(t *testing.T, dir string) []results.Row {
	t.Helper()
	rows, err := results.ReadCSV(strings.NewReader(clitest.Contents(t, dir, experiment.ResultsFile)))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// An experiment ends with a row for every run, those that diverged among them, and again it has nothing to do.
func TestExperiment(t *testing.T) {
	m := clitest.NewMaterial(t)
	file, dir := clitest.WriteFile(t, "small.json", small), filepath.Join(t.TempDir(), "all")
	out := clitest.Succeed(t, "", asked(m, file, dir)...)
	rows := table(t, dir)
	statuses := map[string]int{}
	for _, r := range rows {
		label, _, _ := strings.Cut(strings.TrimPrefix(r.Run, "lr-"), "-")
		statuses[label+" "+string(r.Status)]++
		well := r.Status == results.Done || r.Status == results.Selection
		if r.Experiment != "small" || well != (r.ValidationPerplexity > 1) ||
			(r.WikitextWordPerplexity > 1) != (r.Status == results.Done) ||
			well && !(r.Tokens > 0 && r.FLOPs > 0 && r.PeakBytes > r.StateBytes && r.StateBytes > 0) {
			t.Errorf("%+v", r)
		}
	}
	if len(rows) != 10 || len(statuses) != 5 || statuses["step selection"] != 2 || statuses["vanilla done"] != 2 ||
		statuses["wild diverged"] != 2 {
		t.Fatalf("%v\n%s", statuses, out)
	}
	if last, first := strings.Index(out, "vanilla-s1"), strings.Index(out, "step-s2"); last < 0 || last > first {
		t.Errorf("the first seed's runs come before the second's:\n%s", out)
	}
	checkChoices(t, dir, rows)

	want, before := clitest.Contents(t, dir, experiment.ResultsFile), lengths(t, dir)
	out = clitest.Succeed(t, "", "experiment", dir, "--device", "host", "--stable")
	if got := clitest.Contents(t, dir, experiment.ResultsFile); got != want || strings.Contains(out, ": done, ") {
		t.Errorf("again: %s\n%swant\n%s", out, got, want)
	}
	if after := lengths(t, dir); !slices.Equal(after, before) {
		t.Errorf("the metrics of runs that are done went from %v to %v bytes", before, after)
	}
	clitest.Succeed(t, "", "experiment", dir, "--device", "host")
	if got := clitest.Contents(t, dir, experiment.ResultsFile); !strings.Contains(got, "tokens_per_second") {
		t.Errorf("without --stable there is no tokens_per_second:\n%s", got)
	}

	for name, ends := range otherwise {
		t.Run(name, func(t *testing.T) { ends(t, m, file, want) })
	}
}

// otherwise are other ways to the end of the same experiment, which must be the same table.
var otherwise = map[string]func(t *testing.T, m clitest.Material, file, want string){
	"two at a time": func(t *testing.T, m clitest.Material, file, want string) {
		dir := filepath.Join(t.TempDir(), "two")
		clitest.Succeed(t, "", asked(m, file, dir, "--parallel", "2")...)
		if got := clitest.Contents(t, dir, experiment.ResultsFile); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	},
}

// lengths are those of the metrics of all runs.
func lengths(t *testing.T, dir string) (list []int64) {
	t.Helper()
	for _, run := range clitest.Entries(t, filepath.Join(dir, experiment.RunsDir)) {
		if at, err := os.Stat(filepath.Join(dir, experiment.RunsDir, run, record.File)); err == nil {
			list = append(list, at.Size())
		}
	}
	return list
}

// checkChoices checks that each learning rate is that of the run with the least perplexity, and taken.
func checkChoices(t *testing.T, dir string, rows []results.Row) {
	t.Helper()
	state, err := experiment.ReadState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Choices) != 2 {
		t.Fatalf("%d learning rates are chosen, want 2: %+v", len(state.Choices), state)
	}
	for _, c := range state.Choices {
		var best results.Row
		for _, r := range rows {
			if strings.HasPrefix(r.Run, "lr-"+c.Variant+"-") && (best.Run == "" ||
				r.ValidationPerplexity < best.ValidationPerplexity) {
				best = r
			}
		}
		if best.LR[0] != c.LR {
			t.Errorf("%s takes %g, the best is %+v", c.Variant, c.LR, best)
		}
		for _, r := range rows {
			if strings.HasPrefix(r.Run, c.Variant+"-s") && r.LR[0] != c.LR {
				t.Errorf("%s has the learning rate %g, %g was chosen", r.Run, r.LR[0], c.LR)
			}
		}
	}
}

// A run that fails is told, recorded and tried again, from another directory too, and the others go on; another's data
// are refused.
func TestExperimentWithTrouble(t *testing.T) {
	m := clitest.NewMaterial(t)
	f, err := experiment.Read([]byte(strings.ReplaceAll(small, `"seeds": [1, 2]`, `"seeds": [7]`)))
	if err != nil {
		t.Fatal(err)
	}
	f.LearningRate, f.Variants = nil, f.Variants[:2]
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	train, err := filepath.Rel(here, m.Train)
	if err != nil {
		t.Skip("the data are on another disk: ", err)
	}
	relative, err := json.Marshal(map[string]any{"data": map[string]any{"train": []string{train}}})
	if err != nil {
		t.Fatal(err)
	}
	if f, err = f.WithBase(relative); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	file, dir := clitest.WriteFile(t, "small.json", string(text)), filepath.Join(t.TempDir(), "all")
	made, err := experiment.Make(f, 300)
	if err != nil {
		t.Fatal(err)
	}
	blocked := filepath.Join(dir, experiment.RunsDir, made.Final(0, 7, 0).Name)
	if err := os.MkdirAll(blocked, 0o777); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(blocked, "foreign")
	if err := os.WriteFile(foreign, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	ask := []string{"experiment", file, "--out", dir, "--validation", m.Validation, "--tokenizer", m.Tokenizer,
		"--device", "host"}
	_, stderr, code := clitest.Call(t, "", ask...)
	if code != 1 || !strings.Contains(stderr, "1 run failed") || !strings.Contains(stderr, "found foreign") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if rows := table(t, dir); rows[0].Status != results.Failed || rows[0].Method != "step" ||
		rows[1].Status != results.Done {
		t.Errorf("%+v", rows)
	}
	clitest.Fail(t, 1, []string{"begun with another validation"}, append(ask, "--validation", m.Wikitext)...)
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	elsewhere := clitest.CallOf(t.Context(), "experiment", dir, "--device", "host")
	elsewhere.Dir = notHere(t, train)
	if _, stderr, code := clitest.Finish(t, elsewhere, ""); code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if rows := table(t, dir); rows[0].Status != results.Done || rows[1].Status != results.Done {
		t.Errorf("after it was tried again: %+v", rows)
	}
}

// notHere is a folder from which a relative path leads nowhere: from less far below the root its .. would lead as far
// up.
func notHere(t *testing.T, relative string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("below/", strings.Count(relative, "..")))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What runs begin with is found from another directory too, and another model in its place is refused.
func TestExperimentThatBeginsWithAModel(t *testing.T) {
	m, run, dir := clitest.NewMaterial(t), clitest.NewRun(t), filepath.Join(t.TempDir(), "all")
	vanilla := []string{"--method", "vanilla", "--steps", "2"}
	clitest.Succeed(t, "", m.Pretrain(run, vanilla...)...)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, run)
	if err != nil {
		t.Skip("the model is on another disk: ", err)
	}
	init, err := json.Marshal(relative)
	if err != nil {
		t.Fatal(err)
	}
	file := clitest.WriteFile(t, "begun.json", strings.ReplaceAll(`{"name": "begun", "seeds": [1],
		"base": {"model": {"seq_len": 16, "init": INIT}, "schedule": {"steps": 2, "batch_size": 2},
			"evaluation": {"eval_tokens": 0, "final_eval_tokens": 0}},
		"variants": [{"label": "a", "set": {"method": {"name": "vanilla"}}},
			{"label": "b", "set": {"method": {"name": "vanilla"}, "model": {"init": INIT},
				"schedule": {"lr": [0.01]}}}]}`, "INIT", string(init)))
	clitest.Succeed(t, "", "experiment", file, "--out", dir, "--data", m.Train, "--tokenizer", m.Tokenizer, "--device",
		"host")
	elsewhere := clitest.CallOf(t.Context(), "experiment", dir, "--device", "host")
	elsewhere.Dir = notHere(t, relative)
	if out, stderr, code := clitest.Finish(t, elsewhere, ""); code != 0 || strings.Contains(out, ": done, ") {
		t.Errorf("exit code %d: %s\n%s", code, stderr, out)
	}
	if err := os.RemoveAll(run); err != nil {
		t.Fatal(err)
	}
	clitest.Succeed(t, "", m.Pretrain(run, append(vanilla, "--seed", "9")...)...)
	clitest.Fail(t, 1, []string{"begun with another model " + run}, "experiment", dir, "--device", "host")
}

func TestExperimentOfBadInput(t *testing.T) {
	m := clitest.NewMaterial(t)
	edited := func(from, to string) string {
		text := strings.Replace(small, from, to, 1)
		if text == small {
			t.Fatalf("%q is not in the file", from)
		}
		return clitest.WriteFile(t, "bad.json", text)
	}
	dir := filepath.Join(t.TempDir(), "never")
	by := func(name string, more ...string) []string {
		return append([]string{"experiment", name, "--out", dir, "--device", "host"}, more...)
	}
	bad := func(from, to string) []string { return asked(m, edited(from, to), dir) }
	const vanilla = `{"method": {"name": "vanilla"}}`
	for _, c := range []struct {
		code  int
		parts []string
		args  []string
	}{
		{2, []string{"name an experiment", "paper-table"}, []string{"experiment"}},
		{2, []string{"there is no experiment", `did you mean paper-table?`}, by("paper-tabel")},
		{2, []string{"did you mean toy?"}, by("pilot", "--scale", "toi")},
		{2, []string{"missing flags: --out"}, []string{"experiment", "pilot"}},
		{1, []string{"there-is-none.json"}, by("there-is-none.json")},
		{1, []string{"holds no experiment"}, []string{"experiment", filepath.Dir(m.Tokenizer)}},
		{2, []string{"its scale", "--scale"}, []string{"experiment", filepath.Dir(m.Tokenizer), "--scale", "toy"}},
		{2, []string{"leave --out out"}, by(filepath.Dir(m.Tokenizer))},
		{2, []string{"--write"}, by("pilot", "--write", "memory")},
		{2, []string{"--data", "missing"}, by("pilot", "--scale", "toy")},
		{2, []string{"--validation", "learning rate"}, by("pilot", "--scale", "toy", "--data", m.Train)},
		{2, []string{"--tokenizer", "tokenizer_vocab"}, by("pilot", "--data", m.Train)},
		{1, []string{"no-such-device"}, append(by("pilot"), "--device", "no-such-device")},
		{1, []string{"there is no variants[0].labels", "did you mean variants[0].label?"},
			bad(`"label": "step"`, `"labels": "step"`)},
		{1, []string{"there is no seed", "did you mean seeds?"}, bad(`"seeds"`, `"seed"`)},
		{1, []string{"base: there is no schedule.step", "did you mean schedule.steps"}, bad(`"steps"`, `"step"`)},
		{1, []string{"variants[1].set, of vanilla", "methods"}, bad(vanilla, `{"methods": {"name": "vanilla"}}`)},
		{1, []string{"another variant has it"}, bad(`"label": "vanilla"`, `"label": "step"`)},
		{1, []string{"the same run"}, bad(vanilla, `{"method": {"stages": 2}}`)},
		{1, []string{"../up", "small letters"}, bad(`"label": "step"`, `"label": "../up"`)},
		{1, []string{"variant step", "9 stages"}, bad(`"stages": 2`, `"stages": 9`)},
		{1, []string{"share 1.5"}, bad(`"share": 0.5`, `"share": 1.5`)},
		{1, []string{"seeds is a JSON string"}, bad(`[1, 2]`, `"1"`)},
		{1, []string{"no JSON at byte"}, bad(`[1, 2]`, `[1, 2`)},
	} {
		clitest.Fail(t, c.code, c.parts, c.args...)
	}
	if _, err := os.Stat(dir); err == nil {
		if entries := clitest.Entries(t, dir); len(entries) > 1 { // a lock
			t.Errorf("bad input left %v", entries)
		}
	}
}

// What --write prints is the experiment: made out, it has the runs of the name.
func TestWrittenExperimentIsTheBuiltIn(t *testing.T) {
	for _, name := range experiment.Names() {
		built, err := experiment.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		if built.Begins() { // with models, which have their size
			text := clitest.Succeed(t, "", "experiment", "--write", name)
			if written, err := experiment.Read([]byte(text)); err != nil || !reflect.DeepEqual(written.Variants,
				built.Variants) || !reflect.DeepEqual(written.Evaluate, built.Evaluate) {
				t.Errorf("%s: %v\n%s", name, err, text)
			}
			continue
		}
		text := clitest.Succeed(t, "", "experiment", "--write", name, "--scale", "toy")
		written, err := experiment.Read([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if built, err = built.AtScale("toy"); err != nil {
			t.Fatal(err)
		}
		built.LearningRate, written.LearningRate = nil, nil // They ask for validation data.
		a, err := experiment.Make(written, 300)
		if err != nil {
			t.Fatal(err)
		}
		b, err := experiment.Make(built, 300)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Variants {
			if got, want := a.Final(i, 1, 0).Name, b.Final(i, 1, 0).Name; got != want {
				t.Errorf("%s: written is %s, built in %s", name, got, want)
			}
		}
	}
}
