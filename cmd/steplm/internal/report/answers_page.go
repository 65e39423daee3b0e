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
	"steplm/stage/record"
)

// AnswersFile is the page of what models that were tuned, or asked MT-Bench's questions, answered, side by side.
const AnswersFile = "answers.md"

// Bounds of the page, so that it can be read whatever was asked: questions, at even distances; examples; models;
// characters of an answer and of a question.
const (
	saidQuestions  = 16
	saidExamples   = 8
	saidModels     = 12
	saidCharacters = 400
)

// speaker is a model whose answers are on the page.
type speaker struct {
	name     string // of its method, and whether it is the trained one
	run      *run
	*answers                 // to MT-Bench; none of them where it was not asked
	examples []record.Sample // that it answered, which have an answer of their own
}

// answeredExamples are what a run's model answered last of the examples that are kept apart, or that it trained on.
func (r *run) answeredExamples() (list []record.Sample) {
	for _, after := range r.curve.Curve.Events {
		if e, ok := after.Event.(record.Samples); ok {
			list = slices.DeleteFunc(slices.Clone(e.Samples), func(s record.Sample) bool { return s.Reference == "" })
		}
	}
	return list[:min(len(list), saidExamples)]
}

// speaks reports whether there is something of a run to be on the page.
func (r *run) speaks() bool {
	return r.answers != nil && r.answers.turns > 0 || len(r.answeredExamples()) > 0
}

// speakers are the models of the methods that are compared: of each method those of the run with the smallest seed that
// is done and answered, the model with which it began before its own. Left is how many others there are.
func (r *Report) speakers() (list []speaker, left int) {
	for _, s := range r.settings {
		for _, g := range s.groups {
			done := g.done()
			at := slices.IndexFunc(done, (*run).speaks)
			if !g.shown || at < 0 {
				continue
			}
			label := g.label
			if len(r.settings) > 1 {
				label = s.title + " · " + label
			}
			run := done[at]
			if a := run.answeredBefore; a != nil && a.turns > 0 {
				list = append(list, speaker{label + ", before", run, a, nil})
			}
			own := run.answers
			if own == nil {
				own = &answers{}
			}
			list = append(list, speaker{label + ", trained", run, own, run.answeredExamples()})
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
		dir := run.experimentDir()
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
		row := []cell{{Text: s.name}, {Text: s.run.Run}, {Text: fmt.Sprint(s.run.Seed)}}
		if s.turns > 0 {
			row = append(row, cell{Text: s.setup.Template}, cell{Text: fmt.Sprint(s.setup.MaxTokens)},
				cell{Text: fmt.Sprint(s.setup.Context)}, cell{Text: fmt.Sprint(s.turns)},
				cell{Text: figure(float64(s.words) / float64(s.turns))}, cell{Text: fmt.Sprint(s.failed)})
		}
		for len(row) < len(t.Head) {
			row = append(row, cell{Text: none})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// writeAnswers writes the page.
func (r *Report) writeAnswers(w io.Writer) error {
	list, left := r.speakers()
	var b strings.Builder
	fmt.Fprintf(&b, "# Answers, side by side\n\nBy one run of each method: that of its smallest seed. Texts end after "+
		"%d characters.\n\n", saidCharacters)
	if left > 0 {
		fmt.Fprintf(&b, "%s more are not on this page.\n\n", view.Plural(int64(left), "model", "models"))
	}
	saidTable(list).markdown(&b)
	writeExamples(&b, list)
	writeQuestions(&b, list, r.questions())
	_, err := io.WriteString(w, b.String())
	return err
}

// writeExamples writes what models answered last of the examples that they were measured on.
func writeExamples(b *strings.Builder, list []speaker) {
	var asked []record.Sample
	for _, s := range list {
		for _, x := range s.examples {
			if len(asked) < saidExamples && !slices.ContainsFunc(asked, func(y record.Sample) bool {
				return x.Prompt == y.Prompt
			}) {
				asked = append(asked, x)
			}
		}
	}
	if len(asked) == 0 {
		return
	}
	b.WriteString("\n## Examples\n\nOf what is kept apart, or where nothing is of what they learned from; each model " +
		"at its end, greedily.\n")
	for i, x := range asked {
		rows := [][]string{{"**asked**", saidText(x.Prompt)}, {"**reference**", saidText(x.Reference)}}
		for _, s := range list {
			at := slices.IndexFunc(s.examples, func(y record.Sample) bool { return x.Prompt == y.Prompt })
			if at >= 0 {
				rows = append(rows, []string{inline(s.name), saidText(s.examples[at].Text)})
			}
		}
		fmt.Fprintf(b, "\n### Example %d\n\n", i+1)
		sideBySide(b, []string{"model", "answer"}, rows)
	}
}

// writeQuestions writes what models answered to MT-Bench.
func writeQuestions(b *strings.Builder, list []speaker, questions map[int]mtbench.Question) {
	ids := questionsOf(list)
	if len(ids) == 0 {
		return
	}
	shown := evenly(ids, saidQuestions)
	fmt.Fprintf(b, "\n## MT-Bench\n\n%s of %d, at even distances. \"%s\" stands where a prompt did not fit the "+
		"model's positions.\n", view.Plural(int64(len(shown)), "question", "questions"), len(ids), mtbench.FailedAnswer)
	for _, id := range shown {
		q := questions[id]
		fmt.Fprintf(b, "\n### %d", id)
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
		head := []string{"model"}
		for i := range turns {
			head = append(head, fmt.Sprintf("turn %d", i+1))
		}
		rows := [][]string{append([]string{"**asked**"}, saidTurns(q.Turns, turns)...)}
		for _, s := range list {
			var said []string
			if a, there := s.Of[id]; there {
				said = a.Turns()
			}
			rows = append(rows, append([]string{inline(s.name)}, saidTurns(said, turns)...))
		}
		sideBySide(b, head, rows)
	}
}

// saidTurns are so many cells of texts.
func saidTurns(texts []string, turns int) (list []string) {
	for i := range turns {
		if i < len(texts) {
			list = append(list, saidText(texts[i]))
		} else {
			list = append(list, none)
		}
	}
	return list
}

// sideBySide writes a table of cells that are Markdown.
func sideBySide(b *strings.Builder, head []string, rows [][]string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
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
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		lines = append(lines, inline(line))
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
