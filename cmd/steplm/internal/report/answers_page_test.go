package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/stage/experiment"
	"steplm/stage/mtbench"
)

// answered writes answers of two turns to questions from 81 on into a folder.
func answered(t *testing.T, folder, model string, questions int, answer func(id, turn int) string) {
	t.Helper()
	var b strings.Builder
	for id := 81; id < 81+questions; id++ {
		line, err := json.Marshal(mtbench.Answer{QuestionID: id, AnswerID: "x", Model: model,
			Choices: []mtbench.Choice{{Turns: []string{answer(id, 1), answer(id, 2)}}}})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, model+".jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	setup := mtbench.Setup{Template: "alpaca", MaxTokens: 128, Context: 512}
	if err := setup.Write(path); err != nil {
		t.Fatal(err)
	}
}

// The page has every model that is compared beside the others and beside what it was before, by one seed, question by
// question, and is of bounded length whatever was asked and answered. A report without answers has no page, also where
// an earlier one had one.
func TestAnswersPage(t *testing.T) {
	base, dir := t.TempDir(), t.TempDir()
	const questions = 80
	long := strings.Repeat("many words | and <b>markup</b>\n", 200)
	for _, x := range []struct {
		method string
		stages int
	}{{"vanilla", 1}, {"step", 2}} {
		for seed := uint64(1); seed <= 2; seed++ {
			name := fmt.Sprintf("%s-s%d", x.method, seed)
			begun := made{name: name, method: x.method, stages: x.stages, seed: seed, lr: 0.01, end: 3, perplexity: 20,
				peak: 1 << 20}.write(t, base)
			run := made{name: name, method: "vanilla", seed: seed, lr: 0.001, end: 2, perplexity: 10, peak: 1 << 20,
				spec: map[string]any{"model": map[string]any{"init": begun}}}.write(t, filepath.Join(dir,
				experiment.RunsDir))
			answered(t, filepath.Join(run, experiment.AnswersDir), name, questions, func(id, turn int) string {
				if id == 81 && turn == 1 {
					return long
				}
				return fmt.Sprintf("%s says %d.%d", name, id, turn)
			})
			answered(t, filepath.Join(run, experiment.BeforeDir, experiment.AnswersDir), name, questions,
				func(id, turn int) string { return mtbench.FailedAnswer })
		}
	}
	asked := filepath.Join(base, "question.jsonl")
	file := fmt.Sprintf(`{"name": "x", "variants": [{"label": "a"}], "evaluate": {"mtbench": {"questions": %q,
		"template": "alpaca", "max_tokens": 128}}}`, asked)
	for path, text := range map[string]string{asked: `{"question_id": 81, "category": "writing", "turns": ` +
		`["Compose\nsomething.", "Again."]}` + "\n", filepath.Join(dir, experiment.DeclaredFile): file} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "report")
	write := func(dir string) string {
		r, err := (&Reader{Dirs: []string{dir}}).Read()
		if err == nil {
			err = r.Write(out)
		}
		if err != nil {
			t.Fatal(err)
		}
		page, err := os.ReadFile(filepath.Join(out, AnswersFile))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(page)
	}
	page := write(dir)
	for _, want := range []string{
		"16 questions of 80",
		"| vanilla, then vanilla, before | vanilla-s1 | 1 | alpaca | 128 | 512 | 160 | 1.00 | 160 |",
		"| step K=2, then vanilla, trained | step-s1 | 1 | alpaca | 128 | 512 | 160 |",
		"### 81, writing\n\n| model | turn 1 | turn 2 |\n|---|---|---|\n| **asked** | Compose<br>something. | Again. " +
			"|\n",
		"| vanilla, then vanilla, trained | many words \\| and &lt;b>markup&lt;/b><br>many words",
		" … (5,800 more) | vanilla-s1 says 81.2 |\n",
		"### 86\n\n", "| step K=2, then vanilla, trained | step-s1 says 86.1 | step-s1 says 86.2 |\n",
		"| vanilla, then vanilla, before | ERROR | ERROR |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%s\nis not in\n%.3000s", want, page)
		}
	}
	if n := strings.Count(page, "\n### "); strings.Contains(page, "## Examples") || strings.Contains(page, "-s2") ||
		len(page) > 20<<10 || n != 16 {
		t.Errorf("%d bytes, %d questions, another seed %t", len(page), n, strings.Contains(page, "-s2"))
	}
	if text, err := os.ReadFile(filepath.Join(out, MarkdownFile)); err != nil ||
		!strings.Contains(string(text), "[answers.md](answers.md)") {
		t.Errorf("the report does not name the page: %v", err)
	}
	if page := write(base); page != "" {
		t.Errorf("a report without answers has a page of\n%s", page)
	}
}

// What models answered last of examples that are kept apart is on the page too, beside what the examples answer, and
// where nothing else was asked. What was sampled of other texts is in the report.
func TestAnswersToExamples(t *testing.T) {
	dir := t.TempDir()
	for i, reference := range []string{"The\nBaltic.", ""} {
		for seed := uint64(1); seed <= 2; seed++ {
			made{name: fmt.Sprintf("%d-%d", i, seed), method: "vanilla", seed: seed, lr: 0.001, end: 2, perplexity: 10,
				peak: 1 << 20, says: fmt.Sprintf("upon %d", seed), reference: reference, spec: map[string]any{
					"schedule": map[string]any{"lr": []float64{0.001}, "warmup": float64(i)}}}.write(t, dir)
		}
	}
	r, err := (&Reader{Dirs: []string{dir}}).Read()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.writeAnswers(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if want := "### Example 1\n\n| model | answer |\n|---|---|\n| **asked** | Once upon 1 |\n| **reference** | " +
		"The<br>Baltic. |\n| vanilla"; !strings.Contains(page, want) || !strings.Contains(page, "| upon 1 at 40 |") ||
		strings.Count(page, "\n### ") != 1 || strings.Contains(page, "at 20") || strings.Contains(page, "MT-Bench") {
		t.Errorf("%s\nwant in it\n%s", page, want)
	}
}

// Many models do not make the page long.
func TestAnswersPageOfManyModels(t *testing.T) {
	dir := t.TempDir()
	for i := range saidModels + 3 {
		run := made{name: fmt.Sprintf("run-%02d", i), method: "vanilla", seed: 1, lr: 0.001, end: 2, perplexity: 10,
			peak: 1 << 20, spec: map[string]any{"schedule": map[string]any{"lr": []float64{0.001},
				"warmup": float64(i)}}}.write(t, dir)
		answered(t, filepath.Join(run, experiment.AnswersDir), "m", 1, func(id, turn int) string { return "yes" })
	}
	r, err := (&Reader{Dirs: []string{dir}}).Read()
	if err != nil {
		t.Fatal(err)
	}
	list, left := r.speakers()
	var b strings.Builder
	if err := r.writeAnswers(&b); err != nil {
		t.Fatal(err)
	}
	if len(list) > saidModels || strings.Count(b.String(), "\n| ") > 3*saidModels || left > 0 &&
		!strings.Contains(b.String(), "more are not on this page") {
		t.Errorf("%d models, %d left\n%s", len(list), left, b.String())
	}
}
