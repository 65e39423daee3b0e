package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"steplm/stage/mtbench"
)

// Scores that are kept in runs' folders come into the report, over seeds; those by another template have a row of
// their own, and what cannot be read is said.
func TestMTBench(t *testing.T) {
	dir := madeRuns(t)
	if _, markdown, _ := written(t, dir); strings.Contains(markdown, "MT-Bench") {
		t.Error("there is a table of no scores")
	}
	reader := &Reader{Dirs: []string{dir}}
	before := reader.Stamp()
	mean := func(x float64) mtbench.Mean { return mtbench.Mean{Value: x, N: 3} }
	score := func(run, template string, first, second float64) {
		t.Helper()
		g := mtbench.Grades{First: mean(first), Second: mean(second), Average: mean((first + second) / 2), Failed: 1}
		s := mtbench.Scores{Judges: []string{"gpt-4"}, Models: []mtbench.ModelScores{{Model: run, Template: template,
			Grades: g, Categories: []mtbench.CategoryScores{{Category: "math", Grades: g}}}}}
		if err := s.Save(filepath.Join(dir, run)); err != nil {
			t.Fatal(err)
		}
	}
	for seed, x := range []float64{2, 2.5, 3} {
		score(fmt.Sprintf("vanilla-%d", seed+1), "alpaca", x, x-1)
		score(fmt.Sprintf("step-%d", seed+1), "alpaca", x+1+0.1*float64(seed), x-1)
	}
	score("scale-1", "fastchat-alpaca", 9, 8)
	if err := os.WriteFile(filepath.Join(dir, "scale-2", mtbench.ScoresFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if reader.Stamp() == before {
		t.Error("a live report does not see new scores")
	}
	html, markdown, _ := written(t, dir)
	_, after, _ := strings.Cut(markdown, "### MT-Bench\n")
	for _, want := range []string{
		"| vanilla | 0.01 | 3 | gpt-4 | alpaca | 2.00 ± 0.500 | – | 2.50 | 1.50 | 3 | 2.00 |",
		"| step K=2 | 0.01 | 3 | gpt-4 | alpaca | 2.55 ± 0.550 | **+0.550 \\[+0.426, +0.674\\]** | 3.60 | 1.50 | 3 |",
		"| vanilla × scale | 0.01 | 1 | gpt-4 | fastchat-alpaca | 8.50 | – | 9.00 | 8.00 | 1 | 8.50 |",
	} {
		if !strings.Contains(after, want) {
			t.Errorf("%s is not in\n%.1500s", want, after)
		}
	}
	if !strings.Contains(html, "<h4>MT-Bench</h4>") || !strings.Contains(html,
		`class="better" title="3 seeds">&#43;0.550`) ||
		!strings.Contains(html, "mtbench.json: unexpected end of JSON input") {
		t.Error("the page lacks the scores, their difference or what is wrong with a file")
	}
}
