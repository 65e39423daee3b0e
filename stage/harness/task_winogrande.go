package harness

import (
	"errors"
	"strings"

	"steplm/stage/eval"
)

// winogrande is WinoGrande: whom a sentence means. The options stand in the contexts, and what is scored is the rest of
// the sentence, the same for both.
var winogrande = Task{Name: "winogrande", Version: 1, output: choicesAlone,
	Data: Dataset{Hub: "allenai/winogrande", Config: "winogrande_xl", Train: train, Validation: validation,
		keys: []string{"winogrande"}, prefer: "xl", labels: "answer"},
	read: func(r Row) (Document, error) {
		var w reading
		if r.has("context_options") {
			return fillIn(r, w.texts(r, "context_options"), w.text(r, "continuation"), w.number(r, "gold")), w.err
		}
		before, after, found := strings.Cut(w.text(r, "sentence"), "_")
		contexts := []string{before + w.text(r, "option1"), before + w.text(r, "option2")}
		answer := w.number(r, "answer")
		if !found {
			w.keep(errors.New(`the sentence has no "_" where the options go`))
		}
		return fillIn(r, contexts, strings.TrimFunc(after, eval.IsSpace), answer-1), w.err
	}}

// fillIn makes a document of contexts after which the same is said.
func fillIn(r Row, contexts []string, rest string, gold int) Document {
	d := Document{Raw: r.object, Contexts: contexts, Gold: gold, Target: rest, Choices: contexts}
	for range contexts {
		d.Continuations = append(d.Continuations, " "+rest)
	}
	return d
}
