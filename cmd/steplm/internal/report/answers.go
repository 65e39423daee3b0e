package report

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"steplm/internal/disk"
	"steplm/stage/experiment"
	"steplm/stage/mtbench"
)

// answers are what a run's model said to MT-Bench's questions.
type answers struct {
	mtbench.Answers
	setup  mtbench.Setup
	failed int // turns without an answer
	turns  int
	words  int
}

// readAnswers reads the file of answers in a run's folder; an experiment makes one.
func (r *run) readAnswers() {
	entries, err := os.ReadDir(filepath.Join(r.dir, experiment.AnswersDir))
	if disk.Missing(err) {
		return
	}
	for _, e := range entries {
		if err != nil || filepath.Ext(e.Name()) != ".jsonl" {
			continue
		}
		path := filepath.Join(r.dir, experiment.AnswersDir, e.Name())
		a := &answers{}
		if a.Answers, err = mtbench.ReadAnswers(path); err != nil {
			break
		}
		if a.setup, _, err = mtbench.ReadSetup(path); err != nil {
			break
		}
		for _, x := range a.Of {
			for _, text := range x.Turns() {
				a.turns, a.words = a.turns+1, a.words+len(strings.Fields(text))
				if text == mtbench.FailedAnswer {
					a.failed++
				}
			}
		}
		r.answers = a
	}
	if err != nil {
		r.problems = append(r.problems, err.Error())
	}
}

// shownAnswers is how many questions a report shows the answers to, at even distances.
const shownAnswers = 8

// answersTable has what the models of all runs said to some of MT-Bench's questions, a question a line; false: nothing.
func (r *Report) answersTable() (t table, ok bool) {
	var ids []int
	t.Head = []cell{{Text: "question", Tip: "its number in MT-Bench, and the turn"}}
	counts := []cell{{Text: "turns, and words of an answer"}}
	var with []*run
	for _, run := range r.runs {
		if run.answers == nil || run.answers.turns == 0 {
			continue
		}
		with = append(with, run)
		a := run.answers
		t.Head = append(t.Head, cell{Text: run.Run, Tip: fmt.Sprintf("template %s, at most %d tokens, %d positions",
			a.setup.Template, a.setup.MaxTokens, a.setup.Context)})
		c := cell{Text: fmt.Sprintf("%d, %s", a.turns, figure(float64(a.words)/float64(a.turns)))}
		if a.failed > 0 {
			c.Text += fmt.Sprintf("; %d without an answer", a.failed)
			c.Tip = "their prompts did not fit the context"
		}
		counts = append(counts, c)
		for id := range a.Of {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	if len(with) == 0 {
		return t, false
	}
	slices.SortFunc(ids, cmp.Compare)
	t.Rows = append(t.Rows, counts)
	every := max(1, (len(ids)+shownAnswers-1)/shownAnswers)
	for i := 0; i < len(ids); i += every {
		row := []cell{{Text: fmt.Sprintf("%d, turn 1", ids[i])}}
		for _, run := range with {
			text := none
			if a, there := run.answers.Of[ids[i]]; there {
				text = a.Turns()[0]
			}
			row = append(row, cell{Text: text})
		}
		t.Rows = append(t.Rows, row)
	}
	return t, true
}
