package harness

import (
	"fmt"
	"slices"
	"strings"

	"steplm/model"
)

// Task is a data set's questions, and how answers to them are judged.
type Task struct {
	Name    string   // the harness's
	Aliases []string // other names by which Find knows it
	Version float64  // of the harness's definition
	Data    Dataset
	output  output
	// read makes a document of a row, of the data set or of its other formats.
	read func(Row) (Document, error)
}

// tasks lists the tasks, each in a file of its own.
var tasks = []*Task{
	&lambadaOpenAI, &lambadaStandard, &arcEasy, &arcChallenge, &hellaswag, &piqa, &openbookqa, &winogrande, &boolq, &sciq,
	&wikitext,
}

// Names are the names of all tasks.
func Names() (names []string) {
	for _, t := range tasks {
		names = append(names, t.Name)
	}
	return names
}

// Find finds tasks by name, each once, in the order of their names.
func Find(names []string) (found []*Task, err error) {
	for _, name := range names {
		at := slices.IndexFunc(tasks, func(t *Task) bool { return t.Name == name || slices.Contains(t.Aliases, name) })
		if at < 0 {
			hint := ""
			if near := model.Nearest(name, Names()); len(near) > 0 {
				hint = fmt.Sprintf(" (did you mean %s?)", strings.Join(near, " or "))
			}
			return nil, fmt.Errorf("unknown task %q%s: the tasks are %s", name, hint, strings.Join(Names(), ", "))
		}
		if !slices.Contains(found, tasks[at]) {
			found = append(found, tasks[at])
		}
	}
	slices.SortStableFunc(found, func(a, b *Task) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// Document is one row of a data set as a question.
type Document struct {
	Raw object // the row, as samples show it
	// Contexts are what a model reads before it is asked: one for all choices, or one for each.
	Contexts []string
	// Continuations are what it may say then, with the blank that stands between.
	Continuations []string
	Choices       []string // by whose lengths likelihoods are divided
	Gold          int      // which of them is right
	Target        string   // what the harness calls the target
	Text          string   // of a page: as it comes, in which words and bytes are counted
}

// shot is the document with its answer, as others show it.
func (d Document) shot() string {
	if len(d.Contexts) > 1 {
		return d.Contexts[d.Gold] + d.Continuations[d.Gold] + shotEnd
	}
	if d.Choices == nil { // its target has a blank of its own, and a second one goes before it
		return d.Contexts[0] + " " + d.Continuations[0] + shotEnd
	}
	return d.Contexts[0] + d.Continuations[d.Gold] + shotEnd
}

// shotEnd stands after each shot.
const shotEnd = "\n\n"

// check refuses a document of which nothing can be asked.
func (d Document) check() error {
	if len(d.Continuations) == 0 {
		return fmt.Errorf("there are no choices")
	}
	for i, c := range d.Choices {
		if c == "" {
			return fmt.Errorf("choice %d of %d is empty: its likelihood cannot be divided by its length", i+1,
				len(d.Choices))
		}
	}
	if d.Gold < 0 || d.Gold >= len(d.Continuations) {
		return fmt.Errorf("the answer is choice %d of %d, counted from 0", d.Gold, len(d.Continuations))
	}
	return nil
}

// choose makes a document of one context and choices.
func choose(r Row, context string, choices []string, gold int) Document {
	d := Document{Raw: r.object, Contexts: []string{context}, Choices: choices, Gold: gold, Target: fmt.Sprint(gold)}
	for _, c := range choices {
		d.Continuations = append(d.Continuations, " "+c)
	}
	return d
}
