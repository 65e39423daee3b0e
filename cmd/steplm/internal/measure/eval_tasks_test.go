package measure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"steplm/cmd/steplm/internal/clitest"
)

// questions is a folder with so many questions of two tasks.
func questions(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	var arc, lambada bytes.Buffer
	for i := range n {
		fmt.Fprintf(
			&arc,
			`{"query":"Question: Where did cat %d go?","choices":["to the mat","dog","log %d"],"gold":%d}`+"\n",
			i,
			i,
			i%3,
		)
		fmt.Fprintf(&lambada, `{"text":"The dog %d ran to the cat."}`+"\n", i)
	}
	for name, content := range map[string][]byte{"arc_easy.jsonl": arc.Bytes(), "arc_easy_train.jsonl": arc.Bytes(),
		"lambada.jsonl": lambada.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

type layout struct {
	Results  map[string]map[string]any `json:"results"`
	Samples  map[string]map[string]int `json:"n-samples"`
	Shots    map[string]int            `json:"n-shot"`
	Versions map[string]float64        `json:"versions"`
	Config   map[string]any            `json:"config"`
	Chance   map[string]float64        `json:"chance"`
	Length   int                       `json:"max_length"`
}

// The flags and keys that other programs know.
func TestEvalTasks(t *testing.T) {
	model, data := clitest.RandomModel(t, 290), questions(t, 6)
	samples := filepath.Join(t.TempDir(), "samples.jsonl")
	args := []string{
		"eval",
		"tasks",
		"--model",
		model,
		"--device",
		"host",
		"--tasks",
		"lambada,arc_easy",
		"--data",
		data,
		"--num-fewshot",
		"1",
		"--fewshot-seed",
		"1234",
		"--limit",
		"4",
		"--samples",
		samples,
		"--bootstrap",
		"1000",
		"--cache",
		t.TempDir(),
	}
	var got layout
	if err := json.Unmarshal([]byte(clitest.Succeed(t, "", append(args, "--json")...)), &got); err != nil {
		t.Fatal(err)
	}
	for task, keys := range map[string][]string{
		"arc_easy": {"acc,none", "acc_norm,none", "acc_norm_stderr,none", "acc_stderr,none", "alias", "name",
			"sample_len"},
		"lambada_openai": {"acc,none", "acc_stderr,none", "alias", "name", "perplexity,none", "perplexity_stderr,none",
			"sample_len"},
	} {
		var have []string
		for key := range got.Results[task] {
			have = append(have, key)
		}
		slices.Sort(have)
		if diff := cmp.Diff(keys, have); diff != "" || got.Samples[task]["original"] != 6 ||
			got.Samples[task]["effective"] != 4 || got.Shots[task] != 1 || got.Versions[task] != 1 {
			t.Errorf("%s: %+v (-want +got):\n%s", task, got, diff)
		}
	}
	if got.Config["limit"] != 4.0 || got.Config["fewshot_seed"] != 1234.0 || got.Length != 32 || len(got.Chance) != 1 {
		t.Errorf("config %v, chance %v, length %d", got.Config, got.Chance, got.Length)
	}
	if lines := strings.Split(strings.TrimSpace(clitest.Contents(t, samples)), "\n"); len(lines) != 8 {
		t.Errorf("%d samples", len(lines))
	}
	out := clitest.Succeed(t, "", args...)
	for _, want := range []string{"arc_easy", "acc_norm", "0.3333", "perplexity", "chance"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

func TestEvalTasksErrors(t *testing.T) {
	model, data := clitest.RandomModel(t, 290), questions(t, 2)
	args := []string{"eval", "tasks", "--device", "host", "--cache", t.TempDir(), "--model", model}
	with := func(more ...string) []string { return append(slices.Clone(args), more...) }
	clitest.Fail(t, 2, []string{`"arc_esy"`, "did you mean arc_easy?", "hellaswag"}, with("--tasks", "arc_esy",
		"--data", data)...)
	clitest.Fail(t, 2, []string{"--max-length 33", "32 positions"}, with("--tasks", "lambada", "--data", data,
		"--max-length", "33")...)
	clitest.Fail(
		t,
		1,
		[]string{"piqa", "no file of the validation split", data},
		with("--tasks", "piqa", "--data", data)...)
	clitest.Fail(t, 1, []string{"lambada_openai: 3 shots", "2 to draw from"}, with("--tasks", "lambada", "--data", data,
		"--num-fewshot", "3")...)
	if err := os.WriteFile(filepath.Join(data, "piqa.jsonl"), []byte("{\"query\":\"q\",\"choices\":[\"a\"]\n"),
		0o644); err != nil {
		t.Fatal(err)
	}
	clitest.Fail(t, 1, []string{"piqa.jsonl:1", "no JSON object"}, with("--tasks", "piqa", "--data", data)...)
	long := fmt.Sprintf("{\"query\":\"q\",\"choices\":[\"a\",%q],\"gold\":0}\n", strings.Repeat("b c ", 40))
	if err := os.WriteFile(filepath.Join(data, "piqa.jsonl"), []byte(long), 0o644); err != nil {
		t.Fatal(err)
	}
	clitest.Fail(t, 1, []string{"piqa: document 0: choice 1", "a context of 32", "--leave-out-long"},
		with("--tasks", "piqa", "--data", data)...)
	clitest.Fail(t, 1, []string{"piqa: each of its 1 documents", "none is left"}, with("--tasks", "piqa", "--data",
		data, "--leave-out-long")...)
}

// An evaluation that is killed and begun again goes on, and gives the same numbers.
// Where samples cannot be written is told before anything is asked, and answers stay until all is told.
func TestEvalTasksSamplesFirst(t *testing.T) {
	cache := t.TempDir()
	missing := filepath.Join(t.TempDir(), "missing", "samples.jsonl")
	args := []string{"eval", "tasks", "--device", "host", "--model", clitest.RandomModel(t, 290), "--tasks", "arc_easy",
		"--data", questions(t, 4), "--bootstrap", "0", "--cache", cache}
	clitest.Fail(t, 1, []string{"--samples", missing}, append(args, "--samples", missing)...)
	if begun, err := os.ReadDir(cache); err != nil || len(begun) > 0 {
		t.Errorf("asked before: %v, %v", begun, err)
	}
	clitest.Succeed(t, "", args...)
	if left, err := os.ReadDir(cache); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestEvalTasksGoesOn(t *testing.T) {
	model, data, cache := clitest.RandomModel(t, 290), questions(t, 300), t.TempDir()
	args := []string{"eval", "tasks", "--model", model, "--device", "host", "--tasks", "arc_easy", "--data", data,
		"--json", "--cache"}
	results := func(out string) (r layout) {
		t.Helper()
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	want := results(clitest.Succeed(t, "", append(args, t.TempDir())...))
	args = append(args, cache)
	c := clitest.CallOf(t.Context(), args...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	answers := func() (n int) {
		files, _ := filepath.Glob(filepath.Join(cache, "*"))
		for _, f := range files {
			content, _ := os.ReadFile(f)
			n += bytes.Count(content, []byte("\n"))
		}
		return n
	}
	for deadline := time.Now().Add(time.Minute); answers() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	c.Process.Kill()
	c.Wait()
	kept := answers()
	if kept == 0 {
		t.Fatal("it ended before it could be killed, or said nothing in a minute")
	}
	out, stderr, code := clitest.Call(t, "", args...)
	if code != 0 || !strings.Contains(stderr, "it goes on") {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if diff := cmp.Diff(want.Results, results(out).Results); diff != "" {
		t.Errorf("after %d answers (-want +got):\n%s", kept, diff)
	}
	if left := answers(); left != 0 {
		t.Errorf("%d answers are left", left)
	}
}

// What one model answered stays until all are measured; then nothing is left.
func TestEvalAllKeepsAnswers(t *testing.T) {
	model, broken, cache := clitest.RandomModel(t, 290), clitest.RandomModel(t, 290), t.TempDir()
	weights := filepath.Join(broken, "model.safetensors")
	whole, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(weights, whole[:len(whole)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"eval", "all", "--device", "host", "--model", model, "--model", broken, "--tasks", "arc_easy",
		"--data", questions(t, 4), "--bootstrap", "0", "--cache", cache}
	clitest.Fail(t, 1, []string{"model.safetensors"}, args...)
	if kept, err := os.ReadDir(cache); err != nil || len(kept) != 1 {
		t.Fatalf("the first model's answers are in %v, %v", kept, err)
	}
	if err := os.WriteFile(weights, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := clitest.Call(t, "", args...); code != 0 || strings.Count(stderr, "it goes on") != 1 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A whole evaluation measures all, and what a run's model scored is kept where the report finds it.
func TestEvalAll(t *testing.T) {
	material := clitest.NewMaterial(t)
	run := clitest.NewRun(t)
	clitest.Succeed(t, "", material.Pretrain(run)...)
	data := questions(t, 4)
	model := clitest.RandomModel(t, 290)
	wiki := clitest.WriteFile(t, "wiki.raw", " \n = One = \n \n The cat sat . \n = Two = \n \n The dog sat , too . \n")
	args := []string{"eval", "all", "--device", "host", "--model", run, "--model", model, "--tasks", "arc_easy,lambada",
		"--data", data, "--wikitext", wiki, "--bootstrap", "0", "--cache", t.TempDir()}
	out := clitest.Succeed(t, "", args...)
	for _, want := range []string{"wikitext", "perplexity per word", "acc_norm", "0.333", " ± "} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if text := clitest.Contents(t, run, "scores.json"); !strings.Contains(text, `"acc_norm,none"`) {
		t.Errorf("scores %s", text)
	}
	if _, err := os.Stat(filepath.Join(model, "scores.json")); err == nil {
		t.Error("a directory of another program has scores")
	}
	report := t.TempDir()
	clitest.Succeed(t, "", "report", run, "--out", report)
	for file, want := range map[string]string{"report.md": "## Downstream tasks", "index.html": "Downstream tasks"} {
		if text := clitest.Contents(t, report, file); !strings.Contains(text, want) ||
			!strings.Contains(text, "0.333") {
			t.Errorf("%s has no table of tasks", file)
		}
	}
}
