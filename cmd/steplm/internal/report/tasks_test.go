package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/stage/experiment"
	"steplm/stage/harness"
)

// scored writes what a model scored in two tasks of choices into a folder.
func scored(t *testing.T, folder string, arc, piqa float64) {
	t.Helper()
	text := fmt.Sprintf(`{"results": {"arc_easy": {"acc,none": %g, "acc_stderr,none": 0.03, "acc_norm,none": 0.5,
		"acc_norm_stderr,none": 0.03}, "piqa": {"acc,none": %g, "acc_stderr,none": 0.04}},
		"chance": {"arc_easy": 0.25, "piqa": 0.5}, "n-shot": {"arc_easy": 0, "piqa": 0},
		"n-samples": {"arc_easy": {"effective": 200}, "piqa": {"effective": 100}}, "max_length": 64}`, arc, piqa)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s := harness.Scores{Tasks: json.RawMessage(text), Cut: map[string]int{"piqa": 7},
		LeftOut: map[string]int{"piqa": 3}}
	if err := s.Write(folder); err != nil {
		t.Fatal(err)
	}
}

// Runs that began with models of several methods are told apart by these, over seeds though each seed's weights are
// others; what they and the models before scored is compared by seed, and with chance.
func TestTasksOfTunedModels(t *testing.T) {
	base, dir := t.TempDir(), t.TempDir()
	for _, x := range []struct {
		method string
		stages int
		gain   float64
	}{{"vanilla", 1, 0}, {"step", 2, 0.1}} {
		for seed := uint64(1); seed <= 2; seed++ {
			begun := made{name: fmt.Sprintf("%s-s%d", x.method, seed), method: x.method, stages: x.stages, seed: seed,
				lr: 0.01, end: 3, perplexity: 20, peak: 1 << 20}.write(t, base)
			run := made{name: fmt.Sprintf("%s-s%d", x.method, seed), method: "vanilla", seed: seed, lr: 0.001, end: 2,
				perplexity: 10, peak: 1 << 20,
				spec: map[string]any{"model": map[string]any{"init": begun}}}.write(t, dir)
			at := 0.3 + x.gain + 0.02*float64(seed)*(1+10*x.gain)
			scored(t, run, at, 0.5)
			scored(t, filepath.Join(run, experiment.BeforeDir), 0.26, 0.5)
			answer := fmt.Sprintf(`{"question_id": 81, "answer_id": "x", "model_id": "m", "choices": [{"index": 0, `+
				`"turns": ["<script>alert(%d)</script> two words", "ERROR"]}], "tstamp": 1}`+"\n", seed)
			if err := os.MkdirAll(filepath.Join(run, experiment.AnswersDir), 0o755); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(run, experiment.AnswersDir, "m.jsonl")
			if err := os.WriteFile(path, []byte(answer), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	html, markdown, _ := written(t, dir)
	_, after, _ := strings.Cut(markdown, "### Downstream tasks\n")
	after, _, _ = strings.Cut(after, "\n## ")
	// Means of arc_easy are 0.33 and 0.46 over seeds, of both tasks 0.415 and 0.48; of the second method's differences
	// from the first, 0.06 and 0.07 by seed, the interval is 0.065 ± 12.706 × 0.00707 / √2.
	for _, want := range []string{
		"| method | model | seeds | final loss | validation loss | arc easy acc | arc easy acc norm | piqa acc | " +
			"mean acc | Δ vanilla | Δ before |",
		"| chance | – | – | – | – | 0.2500 | 0.2500 | 0.5000 | 0.3750 | – | – |",
		"| vanilla, then vanilla | before | 2 | – | – | 0.26 ± 0.03 | **0.5 ± 0.03** | 0.5 ± 0.04 | " +
			"0.3800 ± 0.025 | – | – |",
		// The loss falls from 6 to 2 in 40 steps, and is 2.15 in the mean of the last 4; the perplexity is 10.
		"| vanilla, then vanilla | trained | 2 | 2.150 | 2.303 | **0.33 ± 0.03** | **0.5 ± 0.03** | 0.5 ± 0.04 | " +
			"0.4150 ± 0.025 | – |",
		"| step K=2, then vanilla | trained | 2 | 2.150 | 2.303 | **0.46 ± 0.03** | **0.5 ± 0.03** | 0.5 ± 0.04 | " +
			"0.4800 ± 0.025 | **+0.0650 \\[+0.00147, +0.129\\]** |",
	} {
		if !strings.Contains(after, want) {
			t.Errorf("%s\nis not in\n%s", want, after)
		}
	}
	for _, want := range []string{"100 documents, 0 shots, 64 positions; 7 requests were longer",
		"; 3 more were left out", "&lt;script&gt;alert(2)&lt;/script&gt; two words", "1 without an answer"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(html, "<script>alert") {
		t.Error("an answer is markup")
	}
	if err := os.RemoveAll(base); err != nil { // What they began with is gone: they are told by what they are.
		t.Fatal(err)
	}
	if _, markdown, _ := written(t, dir); strings.Contains(markdown, "then vanilla") ||
		!strings.Contains(markdown, "| vanilla |") {
		t.Error("without what they began with the runs are not shown")
	}
}

// Scores that came of other documents, shots or positions are no seeds of one another: the page and the Markdown say
// so, and say nothing where all were asked alike.
func TestTasksThatWereAskedOtherwise(t *testing.T) {
	dir := t.TempDir()
	var runs []string
	for seed := uint64(1); seed <= 2; seed++ {
		run := made{name: fmt.Sprintf("a-s%d", seed), method: "vanilla", seed: seed, lr: 0.01, end: 3, perplexity: 20,
			peak: 1 << 20}.write(t, dir)
		scored(t, run, 0.3, 0.5)
		runs = append(runs, run)
	}
	const unlike = "Not all models were asked"
	if _, markdown, _ := written(t, dir); strings.Contains(markdown, unlike) {
		t.Error("all were asked alike, and it says otherwise")
	}
	path := filepath.Join(runs[1], harness.ScoresFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(text), `"effective": 100`, `"effective": 1838`, 1)
	if other == string(text) {
		t.Fatalf("the scores have no 100 documents: %s", text)
	}
	if err := os.WriteFile(path, []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	html, markdown, _ := written(t, dir)
	want := unlike + " piqa alike (100 documents, 0 shots, 64 positions; or 1,838 documents, 0 shots, 64 positions)"
	for name, text := range map[string]string{"the page": html, "the Markdown": markdown} {
		if !strings.Contains(text, want) || strings.Contains(text, unlike+" arc") {
			t.Errorf("%s lacks %q, or says it of others too", name, want)
		}
	}
}

// Seeds of a run whose length is in epochs are one method's, though an epoch that is packed otherwise has a step more;
// another number of epochs, or of steps where these were asked for, is another's.
func TestSeedsOfEpochs(t *testing.T) {
	of := func(seed, steps, epochs string) string {
		r := &run{spec: map[string]string{"schedule.epochs": epochs}, made: map[string]string{"seed": seed,
			"stages[0].steps": steps, "stages[0].schedule.steps": steps, "stages[0].lr": "0.001"}}
		return r.family()
	}
	if a, b := of("1", "346", "2"), of("2", "345", "2"); a != b {
		t.Errorf("%s and %s", a, b)
	}
	for _, other := range []string{of("2", "345", "3"), of("2", "345", "0"), of("2", "346", "")} {
		if other == of("1", "346", "2") {
			t.Errorf("%s is the same", other)
		}
	}
	if of("1", "346", "") == of("1", "345", "") {
		t.Error("other steps are the same")
	}
}
