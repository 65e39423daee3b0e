package report

import (
	"fmt"
	"path/filepath"
	"strings"

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

// readAnswers reads what a run's model and the one before it answered; an experiment asks them.
func (r *run) readAnswers() {
	var own, before error
	r.answers, own = answersIn(filepath.Join(r.dir, experiment.AnswersDir))
	r.answeredBefore, before = answersIn(filepath.Join(r.dir, experiment.BeforeDir, experiment.AnswersDir))
	for _, err := range []error{own, before} {
		if err != nil {
			r.problems = append(r.problems, err.Error())
		}
	}
}

// answersIn reads the file of answers in a folder, of several the last by name; nil: there is none.
func answersIn(dir string) (a *answers, err error) {
	list, err := mtbench.AnswerFiles(dir)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	path := list[len(list)-1]
	a = &answers{}
	if a.Answers, err = mtbench.ReadAnswers(path); err != nil {
		return nil, err
	}
	if a.setup, _, err = mtbench.ReadSetup(path); err != nil {
		return nil, err
	}
	for _, x := range a.Of {
		for _, text := range x.Turns() {
			a.turns, a.words = a.turns+1, a.words+len(strings.Fields(text))
			if text == mtbench.FailedAnswer {
				a.failed++
			}
		}
	}
	return a, nil
}

// shownAnswers is how many questions a report shows the answers to, at even distances.
const shownAnswers = 8

// answersTable has what the models of all runs said to some of MT-Bench's questions, a question a line; false: nothing.
func (r *Report) answersTable() (t table, ok bool) {
	t.Head = []cell{{Text: "question", Tip: "its number in MT-Bench, and the turn"}}
	counts := []cell{{Text: "turns, and words of an answer"}}
	var with []speaker
	for _, run := range r.runs {
		if run.answers == nil || run.answers.turns == 0 {
			continue
		}
		a := run.answers
		with = append(with, speaker{run: run, answers: a})
		t.Head = append(t.Head, cell{Text: run.Run, Tip: fmt.Sprintf("template %s, at most %d tokens, %d positions",
			a.setup.Template, a.setup.MaxTokens, a.setup.Context)})
		c := cell{Text: fmt.Sprintf("%d, %s", a.turns, figure(float64(a.words)/float64(a.turns)))}
		if a.failed > 0 {
			c.Text += fmt.Sprintf("; %d without an answer", a.failed)
			c.Tip = "their prompts did not fit the context"
		}
		counts = append(counts, c)
	}
	if len(with) == 0 {
		return t, false
	}
	t.Rows = append(t.Rows, counts)
	for _, id := range evenly(questionsOf(with), shownAnswers) {
		row := []cell{{Text: fmt.Sprintf("%d, turn 1", id)}}
		for _, s := range with {
			text := none
			if a, there := s.Of[id]; there {
				beginning, more := shortened(a.Turns()[0])
				text = beginning + more
			}
			row = append(row, cell{Text: text})
		}
		t.Rows = append(t.Rows, row)
	}
	return t, true
}
