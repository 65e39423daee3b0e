package report

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"steplm/cmd/steplm/internal/view"
	"steplm/stage/experiment"
	"steplm/stage/mtbench"
)

// AnswersFile is the page of what models answered to MT-Bench, side by side.
const AnswersFile = "answers.md"

// Bounds of the page, so that it can be read whatever was asked: questions, at even distances; models; characters of an
// answer and of a question.
const (
	saidQuestions  = 16
	saidModels     = 12
	saidCharacters = 400
)

// speaker is a model whose answers are on the page.
type speaker struct {
	name string // of its method, and whether it is the trained one
	run  *run
	*answers
}

// speakers are the models of the methods that are compared: of each method those of the run with the smallest seed that
// is done and answered, the model with which it began before its own. Left is how many others there are.
func (r *Report) speakers() (list []speaker, left int) {
	for _, s := range r.settings {
		for _, g := range s.groups {
			done := g.done()
			at := slices.IndexFunc(done, func(r *run) bool { return r.answers != nil && r.answers.turns > 0 })
			if !g.shown || at < 0 {
				continue
			}
			label := g.label
			if len(r.settings) > 1 {
				label = s.title + " · " + label
			}
			run := done[at]
			if a := run.answeredBefore; a != nil && a.turns > 0 {
				list = append(list, speaker{label + ", before", run, a})
			}
			list = append(list, speaker{label + ", trained", run, run.answers})
		}
	}
	left = max(0, len(list)-saidModels)
	return list[:len(list)-left], left
}

// questions are MT-Bench's by their numbers, as far as the files still lie where experiments had them.
func (r *Report) questions() map[int]mtbench.Question {
	all := map[int]mtbench.Question{}
	read := map[string]bool{}
	for _, run := range r.runs {
		dir := filepath.Dir(filepath.Dir(run.dir))
		if run.answers == nil || read[dir] {
			continue
		}
		read[dir] = true
		f, err := experiment.ReadFile(filepath.Join(dir, experiment.DeclaredFile))
		if err != nil || f.Evaluate == nil || f.Evaluate.MTBench == nil {
			continue // The page then has numbers alone.
		}
		list, err := mtbench.ReadQuestions(f.Evaluate.MTBench.Questions)
		if err != nil {
			continue
		}
		for _, q := range list {
			all[q.ID] = q
		}
	}
	return all
}

// saidTable lists the models that are on the page.
func saidTable(list []speaker) (t table) {
	for _, name := range []string{"model", "run", "seed", "template", "tokens, at most", "positions", "turns",
		"words of an answer", "without an answer"} {
		t.Head = append(t.Head, cell{Text: name})
	}
	for _, s := range list {
		words := none
		if s.turns > 0 {
			words = figure(float64(s.words) / float64(s.turns))
		}
		t.Rows = append(t.Rows, []cell{{Text: s.name}, {Text: s.run.Run}, {Text: fmt.Sprint(s.run.Seed)},
			{Text: s.setup.Template}, {Text: fmt.Sprint(s.setup.MaxTokens)}, {Text: fmt.Sprint(s.setup.Context)},
			{Text: fmt.Sprint(s.turns)}, {Text: words}, {Text: fmt.Sprint(s.failed)}})
	}
	return t
}

// writeAnswers writes the page.
func (r *Report) writeAnswers(w io.Writer) error {
	list, left := r.speakers()
	questions := r.questions()
	ids := questionsOf(list)
	shown := evenly(ids, saidQuestions)
	var b strings.Builder
	fmt.Fprintf(&b, "# Answers to MT-Bench, side by side\n\n%s of %d, at even distances, by one run of each method: "+
		"that of its smallest seed. Texts end after %d characters. \"%s\" stands where a prompt did not fit the "+
		"model's positions.\n\n", view.Plural(int64(len(shown)), "question", "questions"), len(ids), saidCharacters,
		mtbench.FailedAnswer)
	if left > 0 {
		fmt.Fprintf(&b, "%s more are not on this page.\n\n", view.Plural(int64(left), "model", "models"))
	}
	saidTable(list).markdown(&b)
	for _, id := range shown {
		q := questions[id]
		fmt.Fprintf(&b, "\n## %d", id)
		if q.Category != "" {
			b.WriteString(", " + inline(q.Category))
		}
		b.WriteString("\n\n")
		turns := len(q.Turns)
		for _, s := range list {
			if a, there := s.Of[id]; there {
				turns = max(turns, len(a.Turns()))
			}
		}
		head, line, asked := "| model |", "|---|", "| **asked** |"
		for i := range turns {
			head, line = head+fmt.Sprintf(" turn %d |", i+1), line+"---|"
			text := none
			if i < len(q.Turns) {
				text = saidText(q.Turns[i])
			}
			asked += " " + text + " |"
		}
		b.WriteString(head + "\n" + line + "\n" + asked + "\n")
		for _, s := range list {
			b.WriteString("| " + inline(s.name) + " |")
			for i := range turns {
				text := none
				if a, there := s.Of[id]; there && i < len(a.Turns()) {
					text = saidText(a.Turns()[i])
				}
				b.WriteString(" " + text + " |")
			}
			b.WriteString("\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// questionsOf are the numbers of the questions that any of some models answered.
func questionsOf(list []speaker) (ids []int) {
	for _, s := range list {
		for id := range s.Of {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// evenly are so many of a list at most, at even distances, the first among them.
func evenly(list []int, most int) (some []int) {
	every := max(1, (len(list)+most-1)/most)
	for i := 0; i < len(list); i += every {
		some = append(some, list[i])
	}
	return some
}

// saidText is a text as a cell of the page has it: cut, with its line breaks.
func saidText(text string) string {
	text, more := shortened(text)
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, inline(strings.TrimRight(line, "\r\n")))
	}
	return strings.Join(lines, "<br>") + more
}

// shortened is a text's beginning, and what says how much of it is left out.
func shortened(text string) (beginning, more string) {
	n := utf8.RuneCountInString(text)
	if n <= saidCharacters {
		return text, ""
	}
	return string([]rune(text)[:saidCharacters]), fmt.Sprintf(" … (%s more)", view.Count(int64(n-saidCharacters)))
}
